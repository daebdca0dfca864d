"""Make the virtual environments from their locks. Standard library only: it runs before they exist.

The product's own is .venv; Label Studio and the demo's model server pin other versions of the same packages, so each
has its own in the cache folder. What is asked for is made at the same time, what is up to date is left alone.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scripts import places, weights
from scripts.weights import WeightsError


class SetupError(Exception):
    """A step failed; the message is for the user."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    name: str
    folder: Path
    locks: tuple[Path, ...]  # installed in this order
    editable: bool = False  # the checkout itself is installed into it
    expectation: str = ""

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        return self.folder / "prelabel-installed"

    @property
    def log(self) -> Path:
        return places.cache_folder() / "logs" / f"setup-{self.folder.name.lstrip('.')}.log"


def product(*, dev: bool) -> Environment:
    """The environment of this checkout. requirements-dev.txt is a superset of requirements.txt."""
    lock = places.ROOT / ("requirements-dev.txt" if dev else "requirements.txt")
    locks = (places.LOCKS / "build.txt", lock)
    return Environment(name="product", folder=places.PRODUCT_VENV, locks=locks, editable=True, expectation="40 s")


def shared(name: str, expectation: str) -> Environment:
    return Environment(
        name=name, folder=places.shared_venv(name), locks=(places.LOCKS / f"{name}.txt",), expectation=expectation
    )


def wanted_stamps(environment: Environment) -> set[str]:
    """One line for everything that must be installed: a lock or the checkout itself, with its hash."""
    lines = {f"{lock.name} {places.file_hash(lock)}" for lock in environment.locks}
    if environment.editable:
        lines.add(f"checkout {places.ROOT} {places.file_hash(places.ROOT / 'pyproject.toml')}")
    return lines


def implied_stamps(environment: Environment) -> set[str]:
    """What installing `environment` satisfies beside itself: the dev lock holds all of the plain one."""
    if any(lock.name == "requirements-dev.txt" for lock in environment.locks):
        plain = places.ROOT / "requirements.txt"
        return {f"{plain.name} {places.file_hash(plain)}"}
    return set()


def held_stamps(environment: Environment) -> set[str]:
    return set(environment.stamp.read_text().splitlines()) if environment.stamp.is_file() else set()


def make(environment: Environment) -> None:
    """Bring one environment up to date, or raise SetupError."""
    with places.exclusive(environment.folder):
        held, wanted = held_stamps(environment), wanted_stamps(environment)
        if wanted <= held:
            return
        print(f"setup: {environment.name}: installing (about {environment.expectation})", flush=True)
        started = time.monotonic()
        environment.log.parent.mkdir(parents=True, exist_ok=True)
        environment.log.write_text("")
        create(environment)
        locks = [lock for lock in environment.locks if f"{lock.name} {places.file_hash(lock)}" not in held]
        install(environment, locks)
        environment.stamp.write_text("\n".join(sorted(wanted | implied_stamps(environment))) + "\n")
        print(f"setup: {environment.name}: ready in {time.monotonic() - started:.0f} s", flush=True)


def create(environment: Environment) -> None:
    """The empty environment; one that was interrupted or whose Python is gone is made anew."""
    works = environment.python.exists() and run_quietly([str(environment.python), "-m", "pip", "--version"]) == 0
    if works:
        return
    environment.folder.parent.mkdir(parents=True, exist_ok=True)
    logged(environment, [sys.executable, "-m", "venv", "--clear", str(environment.folder)])


def install(environment: Environment, locks: Sequence[Path]) -> None:
    """The locked packages, exactly, then the checkout.

    --no-deps: the lock is complete, and label-studio-ml 1.0.9 would otherwise ask for the Flask 1.1.2, Werkzeug 2.0.2
    and Jinja2 3.0.3 that it pinned years ago, although it runs on the current ones that the lock holds.
    """
    pip = [str(environment.python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--no-deps"]
    for lock in locks:
        logged(environment, [*pip, "--progress-bar=off", "--require-hashes", "-r", str(lock)])
    if environment.editable:
        logged(environment, [*pip, "--no-build-isolation", "-e", str(places.ROOT)])


def run_quietly(argv: Sequence[str]) -> int:
    return subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode


def logged(environment: Environment, argv: Sequence[str]) -> None:
    """Run a command with its output in the log, and show the end of it when it fails."""
    outside = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    with environment.log.open("ab") as log:
        result = subprocess.run(argv, stdout=log, stderr=subprocess.STDOUT, env=outside, check=False)
    if result.returncode != 0:
        # pip's warnings about mirrors would bury the one line that says what went wrong.
        lines = [line for line in environment.log.read_text(errors="replace").splitlines() if "WARNING" not in line]
        tail = "\n".join(lines[-8:])
        raise SetupError(f"{environment.name}: `{' '.join(argv[1:4])}` failed, see {environment.log}:\n{tail}")


def work_of(asked: argparse.Namespace) -> list[Callable[[], object]]:
    """One callable for each thing to make."""
    environments = [product(dev=asked.dev)]
    if asked.label_studio:
        environments.append(shared("label-studio", "90 s"))
    if asked.demo:
        environments.append(shared("demo", "10 s"))
    work: list[Callable[[], object]] = [partial(make, environment) for environment in environments]
    if asked.weights:
        work.append(partial(fetch_weights, asked.weights))
    return work


def fetch_weights(size: str) -> None:
    """With the pip of the demo's environment, which is there long before the product's."""
    demo = shared("demo", "10 s")
    make(demo)
    weights.fetch(size, demo.python)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/setup", description="Make .venv from requirements.txt.")
    parser.add_argument("--dev", action="store_true", help="with the tools of requirements-dev.txt")
    parser.add_argument("--label-studio", action="store_true", help="Label Studio, in its own environment, too")
    parser.add_argument("--demo", action="store_true", help="the demo's model server and Redis server too")
    parser.add_argument("--weights", choices=sorted(weights.KNOWN), help="the local model's weights too")
    return parser.parse_args()


def main() -> int:
    work = work_of(arguments())
    with ThreadPoolExecutor(len(work)) as pool:
        errors = [future.exception() for future in [pool.submit(step) for step in work]]
    for error in errors:
        if isinstance(error, (SetupError, WeightsError)):
            print(f"setup: {error}", file=sys.stderr)
        elif error is not None:
            raise error
    return 1 if any(errors) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
