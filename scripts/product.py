"""Prelabel itself, as the demo, the benchmarks and the tests run it: a service, workers and its commands."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.processes import Running, free_port, process_env, start_process
from scripts.services import LabelStudio, Redis, http_answers

PROGRAM = Path(sys.executable).parent / "prelabel"


class CommandError(Exception):
    """A command of the product failed; the message holds what it said."""


@dataclass(frozen=True, kw_only=True)
class Product:
    folder: Path
    port: int = field(default_factory=free_port)
    settings: Mapping[str, str]  # the environment variables it is configured by

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        return process_env(self.settings)

    @property
    def auth(self) -> tuple[str, str] | None:
        user = self.settings.get("PRELABEL_BASIC_AUTH_USER")
        return (user, self.settings["PRELABEL_BASIC_AUTH_PASSWORD"]) if user else None

    def command(self, *arguments: str, limit_s: float = 600) -> dict[str, Any]:
        """Run `prelabel ... --json`; what it shows a person goes to stderr, its answer is returned."""
        argv = [str(PROGRAM), *arguments, "--json"]
        try:
            done = subprocess.run(
                argv, env=self.env, cwd=self.folder, stdout=subprocess.PIPE, text=True, timeout=limit_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise CommandError(f"`prelabel {arguments[0]}` did not end within {limit_s:.0f} s") from None
        if done.returncode != 0:
            said = done.stdout.strip()[-2000:]
            raise CommandError(f"`prelabel {' '.join(arguments)}` ended with code {done.returncode}: {said}")
        return dict(json.loads(done.stdout))

    @contextmanager
    def start_service(self, *, wait: bool = True) -> Iterator[Running]:
        argv = [str(PROGRAM), "serve", "--host", "127.0.0.1", "--port", str(self.port)]
        ready = http_answers(f"{self.url}/health", self.auth)
        with start_process("serve", argv, self.env, folder=self.folder, ready=ready, wait=wait) as running:
            yield running

    @contextmanager
    def start_worker(self, name: str = "worker", arguments: Sequence[str] = ()) -> Iterator[Running]:
        argv = [str(PROGRAM), "worker", *arguments]
        with start_process(name, argv, self.env, folder=self.folder) as running:
            yield running


def settings(label_studio: LabelStudio, redis: Redis, folder: Path) -> dict[str, str]:
    """The settings for services on this machine, with secrets of their own and the SQLite file in `folder`."""
    return {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.token,
        "REDIS_URL": redis.url,
        "DATABASE_URL": f"sqlite:///{folder / 'prelabel.sqlite3'}",
        "PRELABEL_BASIC_AUTH_USER": "label-studio",
        "PRELABEL_BASIC_AUTH_PASSWORD": secrets.token_urlsafe(16),
        "PRELABEL_WEBHOOK_SECRET": secrets.token_urlsafe(16),
        "PRELABEL_AUDIT": "false",  # tests and benchmarks count that every task has its prediction
    }
