"""Start a process, wait until it answers, stop it and all that it started. Standard library only."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

POLL_S = 0.1
LOG_TAIL_LINES = 12


class ServiceError(Exception):
    """A service cannot be started; the message says which, why, and shows the end of its log."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A started process. It leads its own session, so that everything it forks can be found and stopped."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    ready: Callable[[], bool]
    start_limit_s: float

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def wait_ready(self) -> None:
        """Return once it answers; raise ServiceError when it ends or its time is over."""
        limit = time.monotonic() + self.start_limit_s
        while not self.ready():
            if not self.alive:
                raise ServiceError(f"{self.name} ended with code {self.process.returncode} at start; {self.log_tail()}")
            if time.monotonic() > limit:
                raise ServiceError(f"{self.name} did not answer within {self.start_limit_s:.0f} s; {self.log_tail()}")
            time.sleep(POLL_S)

    def log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "\n".join([f"the end of {self.log}:", *lines])


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def process_env(extra: Mapping[str, str]) -> dict[str, str]:
    """A small environment of its own: what happens to be set in the caller's must not decide how a service runs."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONUNBUFFERED": "1"} | dict(extra)


@contextmanager
def start_process(
    name: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    folder: Path,
    ready: Callable[[], bool] = lambda: True,
    start_limit_s: float = 60,
    grace_s: float = 10,
    wait: bool = True,
) -> Iterator[Running]:
    """Run `argv` with exactly the environment `env`, its output in folder/name.log, for as long as the context lasts.

    With wait=False it is given back at once, for several to start together: call wait_ready() later.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv,
            env=dict(env),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Running(name=name, process=process, log=log, ready=ready, start_limit_s=start_limit_s)
    try:
        if wait:
            running.wait_ready()
        yield running
    finally:
        stop(process, grace_s)


def stop(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """SIGTERM to the process; when its grace is over, or when it left children behind, SIGKILL to its session."""
    try:
        if process.poll() is None:
            process.terminate()
            process.wait(grace_s)
    except subprocess.TimeoutExpired:
        pass
    finally:
        kill_session(process.pid)
        process.wait()


def kill_session(leader: int) -> None:
    """Kill what still runs in the session. By session, not by process group: an RQ work-horse has its own group."""
    for pid in all_processes():
        try:
            if os.getsid(pid) == leader:
                os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def all_processes() -> list[int]:
    if Path("/proc/self").exists():
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    listed = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=True)
    return [int(pid) for pid in listed.stdout.split()]


def stop_like_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does, so that what it started is stopped."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second one is not to interrupt the stopping
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
