"""A PostgreSQL server of its own, from Debian's binaries, for as long as its context lasts."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg

from scripts import machine
from scripts.processes import Running, free_port, process_env, start_process

MISSING = "no PostgreSQL server is installed: apt-get install postgresql"
_USER = "prelabel"
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")  # what is committed may be lost by a kill


class PostgreSQL:
    """A server; `new_database` of one that runs gives an empty one."""

    def __init__(self, port: int, argv: Sequence[str]) -> None:
        self._port = port
        self._argv = argv
        self._count = 0

    @contextmanager
    def started(self, *, durable: bool = False) -> Iterator[Running]:
        """The server, for as long as the context lasts; it may be started again after. `durable`: as servers are by
        default, so that it keeps what it has committed also when it is killed; else faster."""
        argv = [*self._argv, "-h", "127.0.0.1", "-p", str(self._port)]
        for setting in () if durable else _FAST:
            argv += ["-c", setting]
        ready, folder = partial(_answers, self._port), Path(self._argv[-1])
        with start_process(
            "postgresql", argv, process_env({}), folder=folder, ready=ready, start_limit_s=60
        ) as running:
            yield running

    def new_database(self) -> str:
        self._count += 1
        name = f"test_{self._count}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return f"postgresql://{_USER}@127.0.0.1:{self._port}/{name}"

    def _address(self, name: str) -> str:
        return f"host=127.0.0.1 port={self._port} user={_USER} dbname={name}"


@contextmanager
def start_postgresql(binaries: Path) -> Iterator[PostgreSQL]:
    """A running server."""
    with new_postgresql(binaries) as server, server.started():
        yield server


@contextmanager
def new_postgresql(binaries: Path) -> Iterator[PostgreSQL]:
    """The files of a server that does not run yet.

    The server refuses to run as root: then it runs as `postgres`, or as `nobody`.
    """
    folder = Path(tempfile.mkdtemp(prefix="prelabel-postgresql-"))
    data, port = folder / "data", free_port()
    try:
        if os.getuid() == 0:
            shutil.chown(folder, _server_user())
        init = [*_as_server_user(), str(binaries / "initdb"), "-D", str(data), "-U", _USER, "-A", "trust"]
        init += ["-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(init, check=True, cwd=folder, capture_output=True, env=process_env({}))
        yield PostgreSQL(port, [*_as_server_user(), str(binaries / "postgres"), "-D", str(data), "-k", str(folder)])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def server_binaries() -> Path | None:
    return machine.postgresql()


def _as_server_user() -> Sequence[str]:
    if os.getuid() != 0:
        return ()
    user = pwd.getpwnam(_server_user())
    return ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--")


def _server_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            pass
        psycopg.connect(f"host=127.0.0.1 port={port} user={_USER} dbname=postgres", connect_timeout=2).close()
    except (OSError, psycopg.Error):
        return False
    return True
