"""Real servers, each started once for the run and only when a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.services import Redis, ServiceError, redis_server, start_redis
from tests.integration.postgresql import MISSING, PostgreSQL, server_binaries, start_postgresql


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    binaries = server_binaries()
    if binaries is None:
        pytest.skip(MISSING)
    with start_postgresql(binaries) as server:
        yield server


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    try:
        redis_server()
    except ServiceError as error:
        pytest.skip(str(error))
    with start_redis(tmp_path_factory.mktemp("redis"), persist=False) as server:
        yield server
