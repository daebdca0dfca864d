"""What the people of a project have made of its predictions: judged version by version, reported, compared."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from backend.core.audit import AuditPlan
from backend.core.errors import ConfigError, LabelStudioError, not_connected
from backend.core.judgements import Judgement
from backend.core.values import TaskState, Usage
from backend.core.verifications import Verification, VerificationOutcome
from backend.labeling.comparison import compare
from backend.labeling.config import LabelingConfig
from backend.labeling.resolving import heard
from backend.learning.report import costs, people_figures, version_figures
from backend.ports.clock import Clock
from backend.ports.labels import Labels
from backend.ports.store import ProjectRow, Record, Store
from backend.services.beside_students import beside_students
from backend.services.golden_panel import panel, told, told_left_out
from backend.services.projects import answerable
from backend.services.scorings import told_of
from backend.services.students import Students, is_by_student

_log = logging.getLogger(__name__)
_AT_ONCE = 500  # tasks that are compared at a time
_ANSWERED = (TaskState.DONE, TaskState.EMPTY, TaskState.INVALID)

Cost = Callable[[int, str, Usage], "float | None"]  # of a project's version's calls, in US dollars; None: not known


def judgements(
    store: Store, row: ProjectRow, version: str, verified: Sequence[Verification], *, share: float | None = None
) -> Iterator[Judgement]:
    """Each of these annotations beside the version's answer, where it answered the same data. Those of tasks that the
    audit would have drawn at `share` (by default the lowest share of these tasks, with what extended the audit) are the
    audit's.

    What was compared when the annotation came in stands; with any other version it is compared now, so that an audit
    judges every version that answered its tasks.
    """
    config, plan = answerable(row.label_config), store.audit_plan(row.id)
    if share is None and plan is not None:
        share = plan.reached_share(v.task_id for v in verified)
    by_task: defaultdict[int, list[Verification]] = defaultdict(list)
    for one in verified:
        if one.is_label and one.config_fingerprint == config.fingerprint:
            by_task[one.task_id].append(one)
    task_ids = list(by_task)
    for start in range(0, len(task_ids), _AT_ONCE):
        some = task_ids[start : start + _AT_ONCE]
        records = store.records(row.id, version, sorted(some))
        for task_id, record in ((i, records[i]) for i in some if i in records and records[i].state in _ANSWERED):
            compared = [v for v in by_task[task_id] if v.data_hash == record.data_hash]
            voices = {v.annotation_id for v in _voices(plan, task_id, compared)}
            for one in compared:
                judgement = _judgement(config, plan, share, version, record, one)
                yield replace(judgement, heard=one.annotation_id in voices)


def _voices(plan: AuditPlan | None, task_id: int, of_task: Sequence[Verification]) -> Sequence[Verification]:
    """Whose answers make the task's label; of a task that the audit drew those who saw no prediction come first."""
    blind = [v for v in of_task if not v.shown] if plan is not None and plan.holds(task_id) else []
    return heard(blind or of_task)


def _judgement(
    config: LabelingConfig,
    plan: AuditPlan | None,
    share: float | None,
    version: str,
    record: Record,
    one: Verification,
) -> Judgement:
    controls = one.controls
    if one.version != version or not controls:
        controls = compare(config.bind(record.data), record.result, one.regions).controls
    drawn = plan is not None and plan.holds(one.task_id)
    return Judgement(
        task_id=one.task_id,
        annotation_id=one.annotation_id,
        annotator_id=one.annotator_id,
        outcome=one.outcome if one.version == version else VerificationOutcome.BLIND,
        version=version,
        drawn=plan.share_of(one.task_id) if plan is not None and drawn else None,
        even=plan is not None and drawn and plan.holds(one.task_id, share),
        shown=one.shown,
        score=record.score,
        controls=controls,
        lead_time_s=one.lead_time_s,
        slices=one.slices,
    )


@dataclass(frozen=True, kw_only=True)
class Reports:
    """The reports of an installation."""

    store: Store
    labels: Labels | None  # for names only; None: there is no key
    cost: Cost
    clock: Clock

    @cached_property
    def students(self) -> Students:
        return Students(store=self.store, excluded=self.store.golden_set_apart)

    def report(self, project_id: int, *, agents: Sequence[str] = ()) -> dict[str, Any]:
        """Everything in numbers, as a JSON object: of the current version, or of all versions of these agents (NAME or
        NAME@HASH), side by side. Raises `ConfigError` for a project that is not known here."""
        row = self.store.project(project_id)
        if row is None or row.version is None:
            raise ConfigError(not_connected(project_id))
        verified = list(self.store.verifications(project_id))
        config = answerable(row.label_config)
        pupils = self.students.pupils(project_id, config, 0)
        versions, plan = self._versions(row, row.version, agents), self.store.audit_plan(project_id)
        seen: list[Judgement] = []
        figures = []
        for version in versions:
            found = list(self._judged(row, version, verified, plan))
            seen += found
            by_student = is_by_student(self.store, project_id, version)
            student = {} if by_student else beside_students(pupils, config, found)
            told_of_version = {**self._figures(row, version, found), "student": student}
            if plan is not None and plan.late and told_of_version["accuracy"] is not None:
                late = self._late(project_id, version, verified, plan)
                told_of_version["warning"] = " ".join(filter(None, (late, told_of_version["warning"])))
            figures.append({"version": version, "current": version == row.version, **told_of_version})
        people = panel(self.store, row)
        golden = told(people)
        title, names = self._names(project_id)
        return {
            "project": project_id,
            "title": title,
            "made_at": self.clock().isoformat(timespec="seconds"),
            "annotations": dict(self.store.verification_counts(project_id)),
            "audit": None if plan is None else _audit(plan, verified),
            "versions": figures,
            "people": _named(people_figures(seen), names),
            "golden": golden and _named(golden, names),
            "left_out": told_left_out(people.left_out),
        }

    def _judged(
        self, row: ProjectRow, version: str, verified: Sequence[Verification], plan: AuditPlan | None
    ) -> Iterator[Judgement]:
        """The audit's are those of its first draw, which stand for all tasks; where it was drawn after people had
        begun, for those that nobody had annotated by then."""
        if plan is None:
            yield from judgements(self.store, row, version, verified)
            return
        before = _annotated_before(plan, verified) if plan.late else frozenset()
        share = plan.even_share(v.task_id for v in verified)
        for one in judgements(self.store, row, version, verified, share=share):
            yield replace(one, even=False) if one.task_id in before else one

    def _late(self, project_id: int, version: str, verified: Sequence[Verification], plan: AuditPlan) -> str:
        answered = {task_id for task_id, _ in self.store.scores(project_id, version)}
        count = len(answered - _annotated_before(plan, verified))
        return (
            "The blind audit was drawn after people had begun: the accuracy is that of the "
            f"{count:,} tasks that nobody had annotated before."
        )

    def _names(self, project_id: int) -> tuple[str | None, Mapping[int, str]]:
        """The project's title, and its annotators' names. A key that may not see them, or a Label Studio that is
        away, leaves the numbers: the report is of what is stored here."""
        if self.labels is None:
            return None, {}
        try:
            names = self.labels.people()
            return self.labels.project(project_id).title or None, names
        except LabelStudioError as error:
            _log.info("the report has no names", extra={"project": project_id, "reason": error.for_log})
            return None, {}

    def _versions(self, row: ProjectRow, current: str, agents: Sequence[str]) -> list[str]:
        """The newest first; a name stands for all versions of that agent."""
        if not agents:
            return [current]
        answered = self.store.answered_versions(row.id)
        chosen = [v for v in answered if v in agents or v.partition("@")[0] in agents]
        missing = [name for name in agents if not any(name in (v, v.partition("@")[0]) for v in chosen)]
        if missing:
            known = ", ".join(answered) or "none"
            raise ConfigError(
                f"No task of project {row.id} was answered by {missing[0]!r}: answered it was by {known}."
            )
        return chosen

    def _figures(self, row: ProjectRow, version: str, found: Sequence[Judgement]) -> dict[str, Any]:
        counts = self.store.counts(row.id, version=version)
        figures = version_figures(found, answered=sum(counts.states.get(state.value, 0) for state in _ANSWERED))
        tokens = counts.usage.prompt_tokens + counts.usage.completion_tokens
        scores = told_of(self.store, row.id, version)
        return {**figures, "scores": scores, "cost": costs(self.cost(row.id, version, counts.usage), tokens, figures)}


def _annotated_before(plan: AuditPlan, verified: Sequence[Verification]) -> frozenset[int]:
    return frozenset(v.task_id for v in verified if v.is_label and v.created_at < plan.begun_at)


def _named(people: Mapping[str, Any], names: Mapping[int, str]) -> Mapping[str, Any]:
    annotators = [{**person, "name": names.get(person["annotator"])} for person in people["annotators"]]
    return {**people, "annotators": annotators}


def _audit(plan: AuditPlan, verified: Sequence[Verification]) -> Mapping[str, Any]:
    """How large the audit is, and how many of its tasks have been annotated, blind and not."""
    drawn = {v.task_id: v for v in verified if v.is_label and plan.holds(v.task_id)}
    share = plan.even_share(v.task_id for v in verified)
    before = _annotated_before(plan, verified) if plan.late else frozenset()
    blind = [v.task_id for v in drawn.values() if not v.shown]
    return {
        "begun_at": plan.begun_at.isoformat(),
        "first_share": plan.first_share,
        "later_share": plan.later_share,
        "annotated_blind": len(blind),
        "for_accuracy": sum(plan.holds(task_id, share) and task_id not in before for task_id in blind),
        "annotated_shown": sum(v.shown for v in drawn.values()),
    }
