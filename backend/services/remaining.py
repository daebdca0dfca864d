"""What is left to do in a project, task by task, and in which order people should do it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal, get_args

from backend.core.audit import AuditPlan
from backend.core.errors import ConfigError, not_connected
from backend.core.values import TaskState
from backend.core.verifications import VerificationOutcome
from backend.learning.near_duplicates import clusters
from backend.ports.labels import Labels
from backend.ports.store import ProjectRow, Record, Store
from backend.ports.verifications import Looked
from backend.prompting.shortlist import joined_text
from backend.services.differing import differing_task_ids
from backend.services.projects import answerable

CAP = 3  # of near duplicates, so many are verified before the others are held back
_AT_ONCE = 500  # records that are read together
_MOST_CHARS = 20_000  # of a text, what is held to compare it
_SHOWN = ("handed", "written")
_LABELLED = (TaskState.DONE, TaskState.EMPTY)

Place = Literal["done", "accepted", "skipped", "audit", "waiting", "verify", "repeat"]


@dataclass(frozen=True, kw_only=True)
class Remaining:
    """Where each task of a project is. Every task but a golden question is in one place."""

    project_id: int
    version: str
    places: Mapping[int, Place]
    scores: Mapping[int, float | None]  # of the tasks that are to be verified, and of repeats
    unusable: int  # of the done ones, those whose annotations are of no use: the text or the config changed since, or
    # the annotator is left out
    withheld: int  # of the audit, those whose prediction is made
    unread: int  # of those to verify, those of which no answer could be read: people label them from nothing
    of_verified: int  # of the repeats, those of which people have verified enough
    conflicts: tuple[int, ...] | None  # of those to verify, where two versions differ; None: not asked for
    golden: frozenset[int]  # golden questions, which are in no place: annotators are to meet them among the others

    def ids(self, place: Place) -> list[int]:
        """The lowest score first, the unknown last, as Label Studio sorts them; those of one score ascending."""

        def key(task_id: int) -> tuple[bool, float, int]:
            score = self.scores.get(task_id)
            return score is None, score or 0.0, task_id

        return sorted((task_id for task_id, here in self.places.items() if here == place), key=key)

    @property
    def counts(self) -> Mapping[str, int]:
        found = Counter(self.places.values())
        return {place: found[place] for place in get_args(Place)}

    def below(self, score: float) -> int:
        """How many of those to verify have a lower score."""
        known = (self.scores.get(task_id) for task_id, place in self.places.items() if place == "verify")
        return sum(one is not None and one < score for one in known)


@dataclass(frozen=True, kw_only=True)
class Remainders:
    """Raises `ConfigError` for a project that is not known, `StoreError`, and a `LabelStudioError`."""

    store: Store
    labels: Labels
    clusters: Callable[[Sequence[str]], Sequence[int]] = clusters

    def look(self, project_id: int, *, cap: int = CAP, differ: tuple[str, str] | None = None) -> Remaining:
        """From the annotations as they were read last. `cap` 0: near duplicates are not looked for. `differ`: two
        versions with stored answers."""
        row, version = self._known(project_id)
        # Whoever is left out has annotated all the same: Label Studio does not give these tasks to anybody again.
        looked_at, useful = _looked_at(self.store.looked(project_id))
        found, texts = self._placed(row, version, looked_at)
        done, wanted = found.ids("done"), found.ids("verify")
        repeats, of_verified = _repeats(wanted, done, texts, self.clusters, cap) if cap else (set(), 0)
        kept = None
        if differ is not None:
            differing = set(differing_task_ids(self.store, project_id, *differ))
            kept = tuple(task_id for task_id in wanted if task_id in differing and task_id not in repeats)
        return replace(
            found,
            places={**found.places, **dict.fromkeys(repeats, "repeat")},
            unusable=len(set(done) - useful),
            of_verified=of_verified,
            conflicts=kept,
        )

    def columns(self, project_id: int) -> Sequence[str]:
        """The data columns that the labeling config shows."""
        row, _ = self._known(project_id)
        return answerable(row.label_config).columns

    def _known(self, project_id: int) -> tuple[ProjectRow, str]:
        row = self.store.project(project_id)
        if row is None or row.version is None:
            raise ConfigError(not_connected(project_id))
        return row, row.version

    def _placed(
        self, row: ProjectRow, version: str, looked_at: Mapping[int, Collection[VerificationOutcome]]
    ) -> tuple[Remaining, dict[int, str]]:
        """Every task, repeats not yet told apart; and the texts of those that are or may be verified."""
        config, plan = answerable(row.label_config), self.store.audit_plan(row.id)
        places: dict[int, Place] = {}
        scores: dict[int, float | None] = {}
        texts: dict[int, str] = {}
        withheld = unread = 0
        golden: set[int] = set()
        for task_id, record, is_golden in self._tasks(row, version):
            if is_golden:
                golden.add(task_id)
                continue
            place = places[task_id] = _annotated(looked_at.get(task_id, ())) or _place(task_id, record, plan)
            if record is not None and place in ("done", "verify"):
                texts[task_id] = joined_text(config.bind(record.data).show(record.data).values())[:_MOST_CHARS]
            if record is not None and place == "verify":
                scores[task_id] = record.score
                unread += record.state not in _LABELLED
            withheld += place == "audit" and record is not None and record.state.finished
        shown = self.store.shown_version(row.id, version)
        return Remaining(
            project_id=row.id,
            version=shown,
            places=places,
            scores=scores,
            unusable=0,
            withheld=withheld,
            unread=unread,
            of_verified=0,
            conflicts=None,
            golden=frozenset(golden),
        ), texts

    def _tasks(self, row: ProjectRow, version: str) -> Iterator[tuple[int, Record | None, bool]]:
        """Every task with its record, and whether it is a golden question."""
        ids = self.labels.task_ids(row.id)
        while some := list(islice(ids, _AT_ONCE)):
            records, golden = self.store.records(row.id, version, some), self.store.golden_copies(row.id, some)
            for task_id in some:
                yield task_id, records.get(task_id), task_id in golden


def _repeats(
    order: Sequence[int],
    done: Collection[int],
    texts: Mapping[int, str],
    clusters_of: Callable[[Sequence[str]], Sequence[int]],
    cap: int,
) -> tuple[set[int], int]:
    """Of the tasks in this order those that come after `cap` near duplicates, what people have done first; and how
    many of them have as many done ones."""
    ids = sorted(texts)
    of = dict(zip(ids, clusters_of([texts[task_id] for task_id in ids]), strict=True))
    verified = Counter(of[task_id] for task_id in done if task_id in of)
    before, repeats, of_verified = Counter(verified), set[int](), 0
    for task_id in order:
        if before[of[task_id]] >= cap:
            repeats.add(task_id)
            of_verified += verified[of[task_id]] >= cap
        before[of[task_id]] += 1
    return repeats, of_verified


def _looked_at(looked: Iterable[Looked]) -> tuple[dict[int, set[VerificationOutcome]], set[int]]:
    """Of each task its outcomes, and those with a label that counts."""
    found: dict[int, set[VerificationOutcome]] = {}
    useful: set[int] = set()
    for one in looked:
        found.setdefault(one.task_id, set()).add(one.outcome)
        if one.counted and one.is_label:
            useful.add(one.task_id)
    return found, useful


def _annotated(outcomes: Collection[VerificationOutcome]) -> Place | None:
    """By a person, unseen, or skipped; None: nobody has annotated it."""
    if not outcomes:
        return None
    if set(outcomes) <= {VerificationOutcome.SKIPPED, VerificationOutcome.ACCEPTED}:
        return "accepted" if VerificationOutcome.ACCEPTED in outcomes else "skipped"
    return "done"


def _place(task_id: int, record: Record | None, plan: AuditPlan | None) -> Place:
    """Of a task that nobody has annotated."""
    in_label_studio = record is not None and record.state.finished and (record.delivery in _SHOWN or record.rewrite)
    if in_label_studio:
        return "verify"
    return "audit" if plan is not None and plan.withholds(task_id) else "waiting"
