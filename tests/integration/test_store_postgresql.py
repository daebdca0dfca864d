"""The store's contract over a real PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backend.adapters.sql.store import SqlStore
from backend.core.errors import StoreError
from scripts.processes import free_port
from tests.contract.store_cases import StoreCases, in_threads
from tests.integration.postgresql import PostgreSQL

pytestmark = pytest.mark.integration


class TestPostgreSQL(StoreCases):
    @pytest.fixture
    def url(self, postgresql: PostgreSQL) -> str:
        return postgresql.new_database()

    def test_several_processes_migrate_a_new_database_at_once(self, url: str, repository: Path) -> None:
        code = "import sys; from backend.adapters.sql.store import SqlStore; SqlStore(sys.argv[1]).migrate()"
        running = [
            subprocess.Popen(
                [sys.executable, "-c", code, url], cwd=repository, stderr=subprocess.PIPE, text=True, env={}
            )
            for _ in range(4)
        ]
        ended = [(process.communicate(timeout=60)[1], process.returncode) for process in running]
        assert ended == [("", 0)] * 4
        store = SqlStore(url)
        assert store.ping().startswith("postgresql://")
        store.close()

    def test_several_threads_make_jobs(self, store: SqlStore) -> None:
        assert len(set(in_threads(8, lambda: store.create_job(1, "v", "run")))) == 8

    @pytest.mark.parametrize("scheme", ["postgres://", "postgresql://", "postgresql+psycopg://"])
    def test_urls_as_people_write_them(self, url: str, scheme: str) -> None:
        store = SqlStore(url.replace("postgresql://", scheme))
        store.migrate()
        assert store.ping().startswith("postgresql://")
        store.close()


def test_a_server_that_is_away_is_told_in_one_sentence() -> None:
    store = SqlStore(f"postgresql://somebody:pa55word@127.0.0.1:{free_port()}/nothing")
    with pytest.raises(StoreError, match="DATABASE_URL") as raised:
        store.ping()
    assert "postgresql://127.0.0.1:" in str(raised.value)
    assert "pa55word" not in str(raised.value)
    store.close()
