"""What a machine may lack and the tests can do without: found here, reported aloud, never installed by surprise."""

import shutil
import sys
from pathlib import Path

from scripts import weights
from scripts.weights import WeightsError

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> Path | None:
    """A Chromium for the browser tests."""
    found = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    return Path(found) if found else None


def postgresql() -> Path | None:
    """Folder with initdb and postgres. Debian keeps them off the PATH; the newest version is taken."""
    found = shutil.which("postgres")
    if found:
        return Path(found).resolve().parent
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(installed, key=lambda folder: int(folder.parent.name), default=None)


def local_weights() -> Path | None:
    try:
        return weights.at_hand("1.5B")
    except WeightsError:
        return None


def missing() -> list[str]:
    """One line for each thing that is not here: what is skipped without it, and the command that installs it."""
    lines = []
    if chromium() is None:
        lines.append("no Chromium: the browser tests are skipped (apt-get install chromium)")
    if postgresql() is None:
        lines.append("no PostgreSQL server: its tests are skipped (apt-get install postgresql)")
    if local_weights() is None:
        lines.append("no weights: the tests with a real model are skipped (scripts/setup --demo --weights 1.5B)")
    return lines


def main() -> int:
    for line in missing():
        print(f"test: {line}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
