"""The main job from end to end, on this machine: `scripts/demo`.

Starts a Redis, a Label Studio, a model (unless an endpoint is configured), this backend and a worker; imports texts
into a new project, connects, pre-annotates, and stays up until Ctrl-C - or, with --check, asserts the end state.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from scripts import places
from scripts.demo_check import CheckFailed, check
from scripts.demo_project import (
    LabelStudioError,
    Project,
    create_project,
    examples,
    label_counts,
    right_labels,
)
from scripts.processes import ServiceError, stop_like_ctrl_c
from scripts.product import CommandError, Product, settings
from scripts.services import LabelStudio, LocalModel, start_label_studio, start_local_model, start_redis
from scripts.weights import WeightsError

FAILURES = (CheckFailed, CommandError, LabelStudioError, ServiceError, WeightsError, httpx.HTTPError)
PROGRESS_S = 10
PASSED_ON = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")  # only for an endpoint elsewhere


@dataclass(frozen=True, kw_only=True)
class Stages:
    """What each stage took, in seconds."""

    started: float  # on the monotonic clock
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        print(f"demo: {name} ...", flush=True)
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started

    def __str__(self) -> str:
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())

    @property
    def total(self) -> float:
        return time.monotonic() - self.started


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What is up while the demo runs."""

    label_studio: LabelStudio
    product: Product
    project: Project
    tasks: int


def own_endpoint() -> bool:
    return bool(os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL"))


def endpoint_settings(model: LocalModel | None) -> dict[str, str]:
    """The settings for the model: what the user's environment says, or the local model with its limits."""
    given = {name: value for name, value in os.environ.items() if name.startswith(("OPENAI_", "PRELABEL_"))}
    if model is None:
        proxies = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        bypass = {"NO_PROXY": "127.0.0.1,localhost"} if proxies else {}
        # Servers that need no key still want to be sent one.
        return {"PRELABEL_MODEL": "gpt-4o-mini", "OPENAI_API_KEY": "none"} | proxies | bypass | given
    local = {
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_API_KEY": "local",
        "PRELABEL_MODEL": model.model,
        "PRELABEL_CONTEXT_TOKENS": "2048",
        "PRELABEL_CONCURRENCY": "4",
        "PRELABEL_AUDIT": "true",
        "PRELABEL_REQUEST_TIMEOUT_S": "120",
    }
    return given | local


def start(stack: ExitStack, stages: Stages, folder: Path) -> tuple[LabelStudio, Product]:
    """All services. The slow ones start together."""
    with stages.timed("start Label Studio, Redis and the model" if not own_endpoint() else "start Label Studio, Redis"):
        label_studio = stack.enter_context(start_label_studio(folder / "label-studio", wait=False))
        redis = stack.enter_context(start_redis(folder / "redis", persist=True))
        model = None
        if not own_endpoint():
            print("demo: model: Qwen2.5-Coder 1.5B on this machine. It is small: expect mistakes.", flush=True)
            model = stack.enter_context(start_local_model(folder / "model"))
        own = folder / "prelabel"
        product = Product(folder=own, settings=endpoint_settings(model) | settings(label_studio, redis, own))
        stack.enter_context(product.start_service())
        stack.enter_context(product.start_worker())
        label_studio.wait_ready()
    return label_studio, product


def annotate(stages: Stages, label_studio: LabelStudio, product: Product) -> tuple[Demo, Mapping[str, Any]]:
    """The main job: a project with texts, connected, pre-annotated."""
    texts = [example.text for example in examples()]
    with stages.timed("project"):
        project = create_project(label_studio, "Customer feedback")
        project.import_texts(texts)
    with stages.timed("connect"):
        product.command("connect", "--project", str(project.id), "--backend-url", product.url)
    with stages.timed("pre-annotate"), progress_shown(product, len(texts)):
        run = product.command("run", "--project", str(project.id), "--wait")
    return Demo(label_studio=label_studio, product=product, project=project, tasks=len(texts)), run


def summary(demo: Demo, run: Mapping[str, Any]) -> str:
    predictions = demo.project.predictions()
    right = right_labels(demo.project)
    lines = [
        f"{control}: {', '.join(f'{label} {count}' for label, count in counts.most_common())}"
        f" ({right.get(control, 0)} of {demo.tasks} as a person would say)"
        for control, counts in label_counts(predictions).items()
    ]
    return "\n".join(f"demo: {line}" for line in [*lines, run_line(run)])


def run_line(run: Mapping[str, Any]) -> str:
    """What `prelabel run` tells, in one line."""
    seconds, calls = run["seconds"], run["model_calls"]
    tokens = f"{run['prompt_tokens']:,} tokens in, {run['completion_tokens']:,} out"
    rate = f" ({calls / seconds:.1f} a second)" if seconds else ""
    return (
        f"{run['answered']} of {run['tasks']} tasks answered, {run['invalid_replies']} invalid replies, "
        f"{run['written']} predictions written; {calls} model calls, {tokens}, {seconds} s{rate}"
    )


@contextmanager
def progress_shown(product: Product, tasks: int) -> Iterator[None]:
    """How many tasks are answered, every few seconds, read from the service's metrics."""
    over = threading.Event()

    def show() -> None:
        last = -1
        while not over.wait(PROGRESS_S):
            done = answered(product)
            if done != last:
                print(f"demo: {done} of {tasks} tasks", flush=True)
            last = done

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def answered(product: Product) -> int:
    try:
        text = httpx.get(f"{product.url}/metrics", auth=product.auth, timeout=5, trust_env=False).text
    except httpx.HTTPError:
        return 0
    samples = (one for family in text_string_to_metric_families(text) for one in family.samples)
    finished = (one for one in samples if one.name == "prelabel_tasks" and one.labels["state"] in ("done", "empty"))
    return round(sum(one.value for one in finished))


def invitation(demo: Demo) -> str:
    tab = demo.project.uncertain_first()
    url = tab.url if tab else demo.project.url
    return "\n".join(
        [
            "",
            f"  least certain first: {url}",
            f"  user: {demo.label_studio.user}   password: {demo.label_studio.password}",
            "",
            "demo: up until Ctrl-C",
        ]
    )


@contextmanager
def data_folder(given: Path | None) -> Iterator[Path]:
    """The given folder, kept; or a new one, kept only when the demo failed, for its logs."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    parent = places.cache_folder() / "demo"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
    try:
        yield folder
    except FAILURES:
        print(f"demo: the logs are in {folder}", file=sys.stderr)
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def services_stopped() -> Iterator[ExitStack]:
    """An exit stack that a second Ctrl-C cannot interrupt while it stops the services."""
    stack = ExitStack()
    try:
        yield stack
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        stack.close()


def run(asked: argparse.Namespace) -> None:
    stages = Stages(started=time.monotonic() - asked.setup_seconds)
    stages.seconds["setup"] = asked.setup_seconds
    with data_folder(asked.data) as folder, services_stopped() as stack:
        label_studio, product = start(stack, stages, folder)
        demo, result = annotate(stages, label_studio, product)
        print(summary(demo, result), flush=True)
        if asked.check:
            with stages.timed("verify"):
                lines = check(product, demo.project, demo.tasks)
            print("\n".join(f"demo: {line}" for line in lines))
            print(f"demo: ok in {stages.total:.0f} s ({stages})", flush=True)
        else:
            print(f"demo: ready in {stages.total:.0f} s ({stages})")
            print(invitation(demo), flush=True)
            signal.pause()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--check", action="store_true", help="assert the end state, stop, exit 0 or 1")
    parser.add_argument("--data", type=Path, help="keep everything in this folder instead of a temporary one")
    parser.add_argument("--setup-seconds", type=float, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    stop_like_ctrl_c()
    try:
        run(asked)
    except FAILURES as error:
        print(f"demo: failed: {error}", flush=True)
        return 1
    except KeyboardInterrupt:
        print("demo: stopped, nothing is left running", flush=True)
        return 130 if asked.check else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
