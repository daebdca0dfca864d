"""Which of a project's predictions may be accepted unseen; accepting them, and taking that back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backend.confidence.certificate import Certificate, ErrorOf, Refusal, certify, is_look
from backend.core.errors import ConfigError, LabelStudioNotFound, not_connected
from backend.core.verifications import VerificationOutcome
from backend.ports.labels import Labels
from backend.ports.store import ProjectRow, Store
from backend.services.audit_evidence import Evidence, evidence

_UNDONE_AT_ONCE = 20  # annotations, some seconds


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found, and of which tasks."""

    version: str
    found: Certificate | Refusal
    accepted: tuple[int, ...]  # tasks that may be accepted unseen, and are not annotated yet; ascending
    look: int | None  # of this project's looks at its audit; None: refused whatever the labels say, which is no look


@dataclass(frozen=True, kw_only=True)
class _Goal:
    """What is to be promised."""

    max_error: float
    confidence: float
    error_of: ErrorOf

    def certified(self, told: Evidence, look: int) -> Certificate | Refusal:
        return certify(
            [one for _, one in told.audit],
            [score for _, score in told.unseen],
            waiting=told.waiting,
            checked=told.checked,
            left_open=told.left_open,
            unanswered=told.unanswered,
            max_error=self.max_error,
            confidence=self.confidence,
            error_of=self.error_of,
            cross_fitted=told.cross_fitted,
            look=look,
        )


def _verdict(version: str, told: Evidence, found: Certificate | Refusal, look: int | None) -> Verdict:
    accepted: tuple[int, ...] = ()
    if isinstance(found, Certificate):
        enough = [i for i, score in told.unseen if score is not None and score >= found.threshold]
        accepted = tuple(i for i in enough if i not in told.accepted_before)
    return Verdict(version=version, found=found, accepted=accepted, look=look)


@dataclass(frozen=True, kw_only=True)
class Certifying:
    """Raises `ConfigError` for a project that is not known, `StoreError`, and a `LabelStudioError`."""

    store: Store
    labels: Labels

    def verdict(self, project_id: int, *, max_error: float, confidence: float, error_of: ErrorOf) -> Verdict:
        """From the annotations as they were read last. Tasks that the version has not answered are no part of it;
        what somebody skipped, or labelled in a way that fits no more, is left to people.

        Where the scores were fitted on what people said, the audit's labels were among that; each of these tasks has
        its score from a fit without it (`learning/fitting.py`), and the promise is made at half the risk. So are the
        labels of a student (`learning/pupil.py`), and of an agent that was chosen by the audit (`calibrating.py`).

        This is a look at the audit, where what was found depends on its labels: counted, unless the same was asked of
        the same labels before.
        """
        goal = _Goal(max_error=max_error, confidence=confidence, error_of=error_of)
        row, version = self._known(project_id)
        told = evidence(self.store, row, version)
        key, known, following = self._look(project_id, told, goal)
        number = known or following
        found = goal.certified(told, number)
        if known is None and is_look(found):
            number = self.store.add_audit_look(project_id, "certify", key)
            found = found if number == following else goal.certified(told, number)
        return _verdict(version, told, found, number if known or is_look(found) else None)

    def known_verdict(
        self, project_id: int, *, max_error: float, confidence: float, error_of: ErrorOf
    ) -> Verdict | None:
        """The same without a look: None where it would be a new one."""
        goal = _Goal(max_error=max_error, confidence=confidence, error_of=error_of)
        row, version = self._known(project_id)
        told = evidence(self.store, row, version)
        _, known, following = self._look(project_id, told, goal)
        found = goal.certified(told, known or following)
        return None if known is None and is_look(found) else _verdict(version, told, found, known)

    def _look(self, project_id: int, told: Evidence, goal: _Goal) -> tuple[str, int | None, int]:
        """What the look is known by, its number where it was taken before, and that of the next one."""
        key, looks = told.key(goal.max_error, goal.error_of.value), self.store.audit_looks(project_id)
        return key, next((look.number for look in looks if look.evidence == key), None), len(looks) + 1

    def accept(self, project_id: int, verdict: Verdict) -> None:
        """Make annotations of what may be accepted, by Label Studio's own action: each has the prediction as its
        parent and nobody's time, by which they are told from what people said."""
        if verdict.accepted:
            shown = self.store.shown_version(project_id, verdict.version)
            self.labels.accept_predictions(project_id, shown, verdict.accepted)

    def undo(
        self, project_id: int, version: str | None = None, *, done: Callable[[int, int], None] = lambda n, of: None
    ) -> int:
        """Delete the annotations that were accepted unseen and that nobody has changed since, of one version or of
        all; how many. What people said stays. `done` is told now and then how many of how many are gone; interrupted,
        it goes on where it was when it is called again."""
        self._known(project_id)
        accepted = [
            v.annotation_id
            for v in self.store.verifications(project_id, everything=True)
            if v.outcome is VerificationOutcome.ACCEPTED and version in (None, v.version)
        ]
        for start in range(0, len(accepted), _UNDONE_AT_ONCE):
            done(start, len(accepted))
            some = accepted[start : start + _UNDONE_AT_ONCE]
            for annotation_id in some:
                try:
                    self.labels.delete_annotation(annotation_id)
                except LabelStudioNotFound:
                    continue  # it is gone already
            self.store.delete_verifications(project_id, some)
        done(len(accepted), len(accepted))
        return len(accepted)

    def _known(self, project_id: int) -> tuple[ProjectRow, str]:
        row = self.store.project(project_id)
        if row is None or row.version is None:
            raise ConfigError(not_connected(project_id))
        return row, row.version
