"""The guards of `conftest.py` guard."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from pytest_socket import SocketBlockedError

from tests.conftest import _FOR_TESTS


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_a_unit_test_cannot_open_a_socket() -> None:
    with pytest.raises(SocketBlockedError):
        socket.create_connection(("127.0.0.1", 9))


def test_a_unit_test_can_run_an_event_loop() -> None:
    assert asyncio.run(asyncio.sleep(0, result="done")) == "done"


def test_the_environment_names_none_of_our_settings() -> None:
    ours = [n for n in os.environ if n.startswith(("PRELABEL_", "OPENAI_", "LABEL_STUDIO_"))]
    assert [n for n in ours if not n.startswith(_FOR_TESTS)] == []
