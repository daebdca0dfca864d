"""What holds for every test: a clean environment, and the one folder of data that is not part of the repository."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_OURS = ("PRELABEL_", "OPENAI_", "LABEL_STUDIO_")
_FOR_TESTS = ("PRELABEL_TEST_", "PRELABEL_CACHE", "PRELABEL_WEIGHTS", "PRELABEL_SCREENSHOTS")

SHARED_DATA = os.environ.pop("PRELABEL_TEST_DATA", None)
NO_SHARED_DATA = "PRELABEL_TEST_DATA is not set: set it to the folder with label_configs/, replies/ and text/"

for _name in [n for n in os.environ if n.startswith(_OURS) and not n.startswith(_FOR_TESTS)]:
    del os.environ[_name]  # before anything of ours is imported; a test sets what it needs with monkeypatch
os.environ.pop("PRELABEL_CACHE_DAYS", None)  # a setting, unlike PRELABEL_CACHE

settings.register_profile(
    "tests",
    max_examples=100,
    deadline=None,  # two cores, shared with other processes
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")


def pytest_configure() -> None:
    """A run that is told to end stops the services that it started, as after Ctrl-C."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def no_counters_are_shared() -> None:
    """A thread would do it seconds later, in the middle of another test, which may have no sockets. A test of the
    sharing itself sets its own time."""
    from backend.adapters import redis_meters

    redis_meters.FLUSH_S = 3600.0


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; the test is skipped, with the reason, where there is none."""
    if SHARED_DATA is None:
        pytest.skip(NO_SHARED_DATA)
    folder = Path(SHARED_DATA)
    if not folder.is_dir():
        pytest.fail(f"PRELABEL_TEST_DATA={SHARED_DATA} is not a folder")
    return folder


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).parent.parent
