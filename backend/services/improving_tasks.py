"""Which verified tasks a better instruction is written from, and on which it is measured.

The two have nothing in common, not even a text that says the same. Which half a task belongs to follows from its text
alone, so that later rounds measure on nothing that an earlier one was shown. Tasks of the blind audit, all others that
were labelled unseen, and those that are set apart are never shown to the writer.
"""

from __future__ import annotations

import hashlib

from backend.core.errors import InputError
from backend.core.values import JSON, Outcome
from backend.core.verifications import VerificationOutcome
from backend.labeling.config import LabelingConfig
from backend.learning.example_pool import says
from backend.prompting.examples import texts_of
from backend.prompting.improving import Mistake
from backend.prompting.shortlist import joined_text
from backend.services.comparing import FEWEST, Comparing, HeldOut

FEWEST_MISTAKES = 5  # from fewer the writer would take one person's slip for a rule


def split(comparing: Comparing, project_id: int) -> tuple[list[HeldOut], list[HeldOut]]:
    """Corrected tasks for the writer, and what to measure on."""
    store = comparing.store
    config, found = comparing.labelled(project_id)
    audit = store.audit_plan(project_id)
    apart = set(comparing.trials.projects.verified_examples.excluded(project_id))
    was_corrected = {
        v.task_id for v in store.verifications(project_id) if v.is_label and v.outcome is VerificationOutcome.CORRECTED
    }
    texts = {one.task.id: _says(config, one) for one in found}
    if texts and not any(texts.values()):
        raise InputError(
            f"Project {project_id} shows images or documents and no text, and guidance is written from texts alone: "
            "write `guidance` into the agent's file yourself, and measure it with `prelabel agents compare`."
        )
    secret = {
        one.task.id
        for one in found
        if one.blind or one.task.id in apart or (audit is not None and audit.holds(one.task.id))
    }
    secret_texts = {texts[i] for i in secret}
    for_writer = {i for i, text in texts.items() if text and text not in secret_texts and _by_lot(text)}
    corrected = [one for one in found if one.task.id in for_writer & was_corrected]
    return corrected, [one for one in found if one.task.id not in for_writer]


def need_enough(project_id: int, corrected: int, rest: int) -> None:
    if corrected < FEWEST_MISTAKES:
        raise InputError(
            f"Project {project_id} has {corrected} corrected tasks to learn from, and {FEWEST_MISTAKES} are needed: "
            "correct some more with their predictions in sight, of which about every second one counts (the others, "
            "and all of the audit, are kept to measure on)."
        )
    if rest < FEWEST:
        raise InputError(
            f"Project {project_id} has {rest} verified tasks to measure on, and {FEWEST} are needed: verify about "
            f"{2 * (FEWEST - rest)} more, of which about every second one counts."
        )


def _says(config: LabelingConfig, one: HeldOut) -> str:
    return says(joined_text(config.bind(one.task.data).show(one.task.data).values()))


def _by_lot(text: str) -> bool:
    """Whether a task that says this belongs to the half that the writer may be shown."""
    return hashlib.sha256(f"improve:{text}".encode("utf-8", "surrogatepass")).digest()[0] % 2 == 0


def mistake_of(config: LabelingConfig, one: HeldOut, outcome: Outcome | None) -> Mistake:
    bound = config.bind(one.task.data)
    controls = [control for control in bound.controls if control.name in one.right]
    given: dict[str, JSON] | None = None
    if outcome is not None and outcome.error is None:
        given = {c.name: c.encode(c.value_of(outcome.result).value) for c in controls}
    return Mistake(
        texts=texts_of(bound.show(one.task.data)),
        given=given,
        right={c.name: c.encode(one.right[c.name].value) for c in controls},
    )
