"""The annotator as a `LabelStudioMLBase`, for those who already run a label-studio-ml server.

That server answers inside the request: it has no queue and no store, keeps one model for all projects and leaks
tracebacks. `prelabel serve` is the better choice; this is the bridge.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from label_studio_ml.model import LabelStudioMLBase

from backend.core.errors import ModelError, StoreError
from backend.core.values import JSON, Agent, Outcome, Task
from backend.dialogue import Question
from backend.labeling.parsing import parse_config
from backend.services.annotate import Caller, annotate_task
from backend.version import version_for

_log = logging.getLogger(__name__)


class PrelabelModel(LabelStudioMLBase):  # type: ignore[misc]  # label-studio-ml ships no types
    """Serve with `label_studio_ml.api.init_app(PrelabelModel, agent=..., template_source=..., caller=...)`."""

    def __init__(
        self,
        *,
        agent: Agent,
        template_source: str,
        caller: Callable[[], AbstractAsyncContextManager[Caller]],
        concurrency: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._caller = caller
        self._concurrency = concurrency
        config = parse_config(self.label_config or "")
        self._question = Question(
            config=config,
            agent=agent,
            template_source=template_source,
            instructions="",
            version=version_for(agent, config, template_source, ""),
        )

    def predict(self, tasks: Sequence[Mapping[str, JSON]], **kwargs: Any) -> list[JSON]:
        """One prediction per task, in order; a failed task has an empty result and the score 0. A task that could
        not be asked about at all (a bad key) gets `[]`: nothing is stored for it."""
        wanted = [Task(id=int(t["id"]), project_id=0, data=t.get("data") or {}) for t in tasks]
        outcomes = asyncio.run(self._annotate(wanted)) if self._question.config.controls else []
        answers = [self._answer(outcome) if outcome is not None else [] for outcome in outcomes]
        return answers or [{"result": [], "model_version": self._question.version} for _ in wanted]

    def fit(self, tasks: object = (), workdir: object = None, **kwargs: Any) -> dict[str, JSON]:
        """There is nothing to train."""
        return {}

    async def _annotate(self, tasks: Sequence[Task]) -> list[Outcome | None]:
        slots = asyncio.Semaphore(self._concurrency)

        async def one(task: Task, caller: Caller) -> Outcome | None:
            async with slots:
                try:
                    return await annotate_task(self._question, task, caller)
                except ModelError as error:
                    _log.error("the model cannot be asked", extra={"error": error.kind, "reason": error.for_log})
                    return None
                except StoreError as error:
                    _log.error("the database cannot be used", extra={"reason": error.for_log})
                    return None

        async with self._caller() as caller:
            return list(await asyncio.gather(*(one(task, caller) for task in tasks)))

    def _answer(self, outcome: Outcome) -> dict[str, JSON]:
        answer: dict[str, JSON] = {
            "result": [dict(region) for region in outcome.result],
            "model_version": self._question.version,
        }
        if outcome.score is not None:
            answer["score"] = outcome.score
        return answer
