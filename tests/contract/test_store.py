"""The store over SQLite: a file, and memory. PostgreSQL is in `tests/integration`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from backend.adapters.sql.store import SqlStore
from backend.core.errors import StoreError
from tests.contract.store_cases import StoreCases, in_threads


class TestSqliteFile(StoreCases):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'store.sqlite3'}"

    def test_what_is_stored_is_there_after_a_restart(self, url: str, store: SqlStore) -> None:
        job_id = store.create_job(1, "v", "run")
        store.close()
        again = SqlStore(url)
        assert again.job(job_id) is not None
        again.close()

    def test_two_processes_share_a_file(self, url: str, store: SqlStore) -> None:
        other = SqlStore(url)
        assert other.job(store.create_job(1, "v", "run")) is not None
        other.close()

    def test_readers_wait_for_no_writer(self, url: str, store: SqlStore) -> None:
        other = SqlStore(url)
        with store.begin():
            assert other.jobs() == []
        other.close()

    def test_a_database_of_a_newer_version_is_named(self, url: str, store: SqlStore) -> None:
        with store.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(StoreError, match=r"newer version of Prelabel: install that one, or restore the backup"):
            store.migrate()

    def test_where_a_file_lies(self, store: SqlStore, tmp_path: Path) -> None:
        disk = store.disk()
        assert disk is not None
        assert (disk.folder, disk.free_bytes > 0) == (str(tmp_path), True)

    def test_the_errors_of_the_database_quote_no_data(self, store: SqlStore) -> None:
        with pytest.raises(StoreError) as caught, store.begin() as connection:
            connection.execute(sa.text("INSERT INTO nowhere VALUES (:text)"), {"text": "SECRET-TEXT"})
        assert "SECRET-TEXT" not in f"{caught.value}{caught.value.__cause__}"

    def test_several_processes_migrate_a_new_database_at_once(self, tmp_path: Path, repository: Path) -> None:
        url = f"sqlite:///{tmp_path / 'new' / 'store.sqlite3'}"
        code = "import sys; from backend.adapters.sql.store import SqlStore; SqlStore(sys.argv[1]).migrate()"
        argv = [sys.executable, "-c", code, url]
        running = [
            subprocess.Popen(argv, cwd=repository, stderr=subprocess.PIPE, text=True, env={"PYTHONWARNINGS": "error"})
            for _ in range(4)
        ]
        ended = [(process.communicate(timeout=60)[1], process.returncode) for process in running]
        assert ended == [("", 0)] * 4
        store = SqlStore(url)
        assert store.ping().startswith("sqlite:///")
        store.close()


class TestSqliteMemory(StoreCases):
    @pytest.fixture(params=["sqlite://", "sqlite:///:memory:"])
    def url(self, request: pytest.FixtureRequest) -> str:
        url: str = request.param
        return url

    def test_several_threads_see_the_same(self, store: SqlStore) -> None:
        ids = in_threads(8, lambda: store.create_job(1, "v", "run"))
        assert len(set(ids)) == 8
        assert len(store.jobs()) == 8

    def test_two_stores_are_two_databases(self, store: SqlStore) -> None:
        other = SqlStore("sqlite://")
        other.migrate()
        store.create_job(1, "v", "run")
        assert other.jobs() == []
        other.close()


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://a/b", "oracle+nothing://a", "sqlite3:///x"])
def test_a_url_that_cannot_be_used_is_told_in_one_sentence(url: str) -> None:
    with pytest.raises(StoreError, match="DATABASE_URL"):
        SqlStore(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://a:pa55word@b/c", "names mysql, and Prelabel works with SQLite and PostgreSQL"),
        ("oracle+nothing://a", "names oracle"),
        ("nonsense", "write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"),
    ],
)
def test_which_databases_can_be_used_is_told(url: str, words: str) -> None:
    with pytest.raises(StoreError) as raised:
        SqlStore(url)
    assert words in str(raised.value)
    assert "pa55word" not in str(raised.value)


def test_a_relative_file_is_told_with_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = SqlStore("sqlite:///prelabel.sqlite3")
    assert store.place == f"sqlite:///{tmp_path}/prelabel.sqlite3"
    with pytest.raises(StoreError, match=f"The database sqlite:///{tmp_path}/prelabel.sqlite3 does not answer"):
        store.ping()
    store.close()


def test_a_server_is_told_without_user_and_password() -> None:
    store = SqlStore("postgresql+psycopg2://ann:pa55word@db.example.com:5433/prelabel?sslmode=require")
    assert store.place == "postgresql://db.example.com:5433/prelabel"
    store.close()


def test_a_folder_in_the_place_of_the_file_is_told_in_one_sentence(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path}")
    with pytest.raises(StoreError, match="DATABASE_URL"):
        store.migrate()


def test_a_file_that_is_no_database_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"something else entirely" * 100)
    store = SqlStore(f"sqlite:///{tmp_path / 'x'}")
    with pytest.raises(StoreError, match="DATABASE_URL"):
        store.migrate()
    store.close()
