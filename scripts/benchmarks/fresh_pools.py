"""What a queue message takes to know a project's verified tasks, from the store to the first choice."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from xml.sax.saxutils import quoteattr

from backend.adapters.sql.store import SqlStore
from backend.core.values import Task
from backend.core.verifications import Verification, VerificationOutcome
from backend.labeling.config import LabelingConfig
from backend.labeling.parsing import parse_config
from backend.learning.similarity import load
from backend.ports.store import Store
from backend.services.verified_examples import MOST_TASKS, VerifiedExamples
from scripts.benchmarks.report import Figure

_TEXTS = {"about 20 words": 100, "about 1,000 characters": 1_000}  # characters at least


def fresh_pools(rows: Sequence[tuple[str, str]]) -> list[Figure]:
    """Of the processor and in memory, for texts and labels of the set; each in a process of its own."""
    figures = []
    for name, chars in _TEXTS.items():
        with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as alone:
            seconds, megabytes = alone.submit(_fresh_pool, rows, chars).result()
        told = f"pool of {MOST_TASKS:,} texts of {name}, from the store to the first choice"
        figures += [
            Figure(name=told, value=seconds, unit="s"),
            Figure(name="the memory that it keeps", value=megabytes, unit="MB"),
        ]
    return figures


def _fresh_pool(rows: Sequence[tuple[str, str]], chars: int) -> tuple[float, float]:
    load()
    longer = _longer(rows, chars)
    config = config_of(rows)
    with tempfile.TemporaryDirectory(prefix="prelabel-bench-") as folder:
        store = SqlStore(f"sqlite:///{Path(folder) / 'bench.sqlite3'}", clock=lambda: datetime.now(UTC))
        store.migrate()
        verify(store, config, longer, 0)
        began, before = time.process_time(), _megabytes()
        pool = VerifiedExamples(store=store).pool(1, config)
        pool.choose(-1, longer[0][0][: chars // 2], 5, selector="tfidf")
        taken = time.process_time() - began, _megabytes() - before
        store.close()
    return taken


def config_of(rows: Sequence[tuple[str, str]]) -> LabelingConfig:
    options = "".join(f"<Choice value={quoteattr(label)}/>" for label in sorted({label for _, label in rows}))
    return parse_config(
        '<View><Text name="text" value="$text"/><Header value="What does this bank customer want?"/>'
        f'<Choices name="intent" toName="text" required="true">{options}</Choices></View>'
    )


def verify(store: Store, config: LabelingConfig, rows: Sequence[tuple[str, str]], first: int) -> None:
    """All rows but the `first` ones as a project's tasks, with the annotation that a person would have made."""
    now = datetime.now(UTC)
    tasks = [Task(id=n, project_id=1, data={"text": rows[n][0]}) for n in range(first, len(rows))]
    store.enlist(store.create_job(1, "bench@00000000", "run"), tasks, absent=True)
    (control,) = config.controls
    store.save_verifications(
        [
            Verification(
                project_id=1,
                task_id=task.id,
                annotation_id=task.id,
                annotator_id=1,
                outcome=VerificationOutcome.BLIND,
                version=None,
                controls=(),
                shown=False,
                lead_time_s=None,
                created_at=now,
                updated_at=now,
                ground_truth=False,
                data_hash=task.data_hash,
                config_fingerprint=config.fingerprint,
                regions=tuple(control.regions((rows[task.id][1],))),
                predicted=(),
            )
            for task in tasks
        ]
    )


def _longer(rows: Sequence[tuple[str, str]], chars: int) -> list[tuple[str, str]]:
    """As many rows as a pool holds, of which each text is several of the set's, and no two are the same."""
    texts, labels = cycle(text for text, _ in rows), cycle(label for _, label in rows)
    made = []
    for number in range(MOST_TASKS):
        text = str(number)
        while len(text) < chars:
            text += f" {next(texts)}"
        made.append((text, next(labels)))
    return made


def _megabytes() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
