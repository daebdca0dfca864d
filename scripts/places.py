"""Where the scripts keep things: the repository, its locks, and the cache folder that checkouts share.

Standard library only: the scripts that run before any virtual environment exists import it.
"""

import fcntl
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "scripts" / "locks"
PRODUCT_VENV = ROOT / ".venv"


def cache_folder() -> Path:
    """PRELABEL_CACHE, or prelabel/ in the user's cache folder."""
    own = os.environ.get("PRELABEL_CACHE")
    if own:
        return Path(own).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().resolve() / "prelabel"


def file_hash(path: Path) -> str:
    """SHA-256 of a small file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def shared_venv(name: str) -> Path:
    """Folder of the environment that scripts/locks/<name>.txt describes, the same for every checkout with that lock."""
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    return cache_folder() / "venvs" / f"{name}-{file_hash(LOCKS / f'{name}.txt')[:12]}-{python}"


@contextmanager
def exclusive(target: Path) -> Iterator[None]:
    """Hold `target` against other processes of these scripts: two checkouts may set up at the same time."""
    locks = cache_folder() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(str(target).encode()).hexdigest()[:16]
    with (locks / f"{target.name.lstrip('.')}-{name}").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
