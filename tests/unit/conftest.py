"""Unit tests open no socket to anywhere; and the program as it is typed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
from pytest_socket import disable_socket, enable_socket

from backend import cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def no_sockets() -> Iterator[None]:
    disable_socket(allow_unix_socket=True)  # an event loop needs a socket pair
    yield
    enable_socket()


@pytest.fixture
def prelabel(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line: exit code, what it printed, what it said on the error channel."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["prelabel", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        code = left.value.code
        return (code if isinstance(code, int) else int(bool(code))), out, err

    return run
