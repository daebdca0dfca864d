"""`prelabel certify`: which predictions may be accepted unseen, and what is promised of the labels then."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from backend.audit_file import AuditFile, read_audit_file
from backend.cli_certify_reason import reason
from backend.cli_common import PROJECT_HELP, JsonOption, number, open_parts
from backend.cli_show import err, line, out, print_json
from backend.confidence.certificate import Certificate, ErrorOf, Refusal, certify, held_at
from backend.core.errors import InputError
from backend.core.verifications import VerificationOutcome
from backend.ports.store import Store
from backend.services.certifying import Certifying

MAX_ERROR, CONFIDENCE = 0.05, 0.95  # where nothing else is asked


def share_given(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if 1 <= share < 100:
        raise typer.BadParameter(f"{text!r} is not a number between 0 and 1: for {text} % give {share / 100:g}")
    if not 0 < share < 1:  # also refuses NaN
        raise typer.BadParameter(f"{text!r} is not a number between 0 and 1, such as 0.05 for 5 % or 0.95 for 95 %")
    return share


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be promised."""

    max_error: float
    confidence: float
    error_of: ErrorOf

    @property
    def as_options(self) -> str:
        """What to say on the command line to ask for the same; begins with a space where it says anything."""
        usual = Asked(max_error=MAX_ERROR, confidence=CONFIDENCE, error_of=ErrorOf.ALL)
        options = [f" --max-error {self.max_error}"] if self.max_error != usual.max_error else []
        options += [f" --confidence {self.confidence}"] if self.confidence != usual.confidence else []
        options += [f" --error-of {self.error_of.value}"] if self.error_of is not usual.error_of else []
        return "".join(options)

    @property
    def in_words(self) -> str:
        return f"at most {_per_cent(self.max_error)} wrong, {_per_cent(self.confidence)} sure"


def certify_command(
    project: Annotated[
        int | None, typer.Option("--project", "-p", help=PROJECT_HELP, metavar="N", parser=number)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            help="Instead: a CSV file with the columns prediction, confidence and gold, one row a task.", metavar="FILE"
        ),
    ] = None,
    max_error: Annotated[
        float, typer.Option(help="Most that may be wrong, as a share.", metavar="SHARE", parser=share_given)
    ] = MAX_ERROR,
    confidence: Annotated[
        float, typer.Option(help="How sure the promise is, as a share.", metavar="SHARE", parser=share_given)
    ] = CONFIDENCE,
    error_of: Annotated[
        ErrorOf, typer.Option(help="Wrong labels as a share of all tasks, or of those from the threshold on.")
    ] = ErrorOf.ALL,
    cross_fitted: Annotated[
        bool,
        typer.Option("--cross-fitted", help="Confidences were fitted on the audit, each without its own row's gold."),
    ] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="Make annotations of the predictions that may be accepted.")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Delete the annotations that --accept made and nobody changed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say which predictions may be accepted unseen, and how many a person must check, with the bound.

    Of a project the blind audit counts; of a file the rows with gold, or those whose column "audit" is true. Exit code
    1: nothing may be accepted.
    """
    asked = Asked(max_error=max_error, confidence=confidence, error_of=error_of)
    if (project is None) == (file is None):
        raise InputError("Certify a project or a file: give --project N or --file FILE.")
    if accept and undo:
        raise InputError("--accept makes annotations and --undo takes them back: give one of them.")
    if file is not None and (accept or undo):
        raise InputError("--accept and --undo change a project: give --project N.")
    if file is not None:
        _certify_file(file, asked, cross_fitted=cross_fitted, as_json=as_json)
    elif undo:
        _undo(project or 0, as_json=as_json)
    else:
        _certify_project(project or 0, asked, accept=accept, as_json=as_json)


def _certify_project(project: int, asked: Asked, *, accept: bool, as_json: bool) -> None:
    parts = open_parts()
    parts.need_key()
    parts.verifier.catch_up(project)
    verdict = parts.certifying.verdict(
        project, max_error=asked.max_error, confidence=asked.confidence, error_of=asked.error_of
    )
    if accept:
        parts.certifying.accept(project, verdict)
        parts.verifier.catch_up(project)
    made = _made(parts.store, project, verdict.accepted) if accept else None
    if as_json:
        told = verdict_as_json(verdict.found, asked, project)
        look = look_as_json(verdict.look, asked)
        print_json({"project": project, "version": verdict.version, **told, **look, "accepted_now": made or 0})
    else:
        show_verdict(verdict.found, asked, project)
        if verdict.look is not None:
            line(which_look(verdict.look, asked))
        if isinstance(verdict.found, Certificate) and verdict.found.accepted:
            line(_accepting(project, asked, verdict.found, new=len(verdict.accepted), made=made))
    if isinstance(verdict.found, Refusal):
        raise typer.Exit(1)


def _made(store: Store, project: int, task_ids: Collection[int]) -> int:
    """Of how many of the tasks Label Studio made an annotation: it has not every prediction at every moment."""
    accepted = {one.task_id for one in store.looked(project) if one.outcome is VerificationOutcome.ACCEPTED}
    return len(accepted.intersection(task_ids))


def _undo(project: int, *, as_json: bool) -> None:
    parts = open_parts()
    parts.need_key()
    parts.verifier.catch_up(project)
    undone = _with_progress(parts.certifying, project)
    if as_json:
        print_json({"project": project, "undone": undone})
    else:
        what = "annotation that was accepted unseen is" if undone == 1 else "annotations that were accepted unseen are"
        line(f"Project {project}: {undone:,} {what} deleted." if undone else f"Project {project}: nothing to undo.")


def _with_progress(certifying: Certifying, project: int) -> int:
    """Label Studio deletes one annotation a call, some ten a second: thousands take minutes."""
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("Deleting annotations", total=None)
        return certifying.undo(project, done=lambda n, of: progress.update(bar, completed=n, total=of))


def _certify_file(file: Path, asked: Asked, *, cross_fitted: bool, as_json: bool) -> None:
    found = read_audit_file(file)
    verdict = certify(
        found.audit,
        found.unseen,
        waiting=found.waiting,
        checked=found.checked,
        max_error=asked.max_error,
        confidence=asked.confidence,
        error_of=asked.error_of,
        cross_fitted=cross_fitted,
    )
    notes = _notes(found, cross_fitted=cross_fitted)
    if as_json:
        print_json({"file": str(file), **verdict_as_json(verdict, asked), "notes": notes})
    else:
        show_verdict(verdict, asked)
        for note in notes:
            line(note)
    if isinstance(verdict, Refusal):
        raise typer.Exit(1)


def verdict_as_json(verdict: Certificate | Refusal, asked: Asked, project: int | None = None) -> dict[str, Any]:
    """A flat object: what was asked, and all figures; what is not known is null."""
    given = {"max_error": asked.max_error, "confidence": asked.confidence, "error_of": asked.error_of.value}
    if isinstance(verdict, Certificate):
        return {"certified": True, **given, **asdict(verdict), "saved": verdict.saved}
    return {"certified": False, **given, **asdict(verdict), "reason": reason(verdict, project)}


def look_as_json(look: int | None, asked: Asked) -> dict[str, Any]:
    """Which look at the audit it was, and at which confidence that one is held; null where it was none."""
    return {"look": look, "held_at": None if look is None else held_at(look, asked.confidence)}


def which_look(look: int, asked: Asked) -> str:
    last = "th" if look % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(look % 10, "th")
    return (
        f"This is the {look}{last} look at this audit: held at {_per_cent(held_at(look, asked.confidence))}, so that "
        f"all looks together keep {_per_cent(asked.confidence)}."
    )


def show_verdict(verdict: Certificate | Refusal, asked: Asked, project: int | None = None) -> None:
    """The promise first, then what it rests on; or why there is none, and the next step."""
    if isinstance(verdict, Refusal):
        line(f"Not certified ({asked.in_words}): {reason(verdict, project)}")
        return
    line(_promise(verdict, asked))
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    labelled = verdict.tasks - verdict.accepted - verdict.to_check
    table.add_row("accept unseen", f"{verdict.accepted:,}", f"confidence {verdict.threshold:.6g} or more")
    wait = f"; {verdict.waiting:,} of them the audit's, which nobody has looked at yet" if verdict.waiting else ""
    table.add_row("people check", f"{verdict.to_check:,}", f"all others{wait}")
    audited = verdict.audited - verdict.undecided
    table.add_row("labelled already", f"{labelled:,}", f"{audited:,} of them in the random audit")
    if verdict.undecided:
        table.add_row(
            "undecided", f"{verdict.undecided:,}", "of the audit: skipped, or people disagree; taken as wrong"
        )
    table.add_row("wrong in the audit", f"{verdict.errors:,}", Text(_evidence(verdict, asked)))
    if verdict.wrong_of_accepted is not None:
        most = math.floor(verdict.wrong_of_accepted * verdict.accepted + 1e-9)
        expected = f"some {verdict.expected_errors:,.1f} by their confidences"
        table.add_row("wrong if accepted", f"{most:,}", f"of these at most, by the promise; {expected}")
    out.print(table)


def _accepting(project: int, asked: Asked, found: Certificate, *, new: int, made: int | None) -> str:
    """What became of the predictions that may be accepted (`made`: annotations of so many), or how to accept them."""
    undo = f"`prelabel certify --project {project} --undo` takes it back."
    if not new:
        already = f"all {found.accepted:,} that may be accepted are annotations already"
        already = already if found.accepted > 1 else "the one that may be accepted is an annotation already"
        return f"Nothing new to accept: {already}; {undo}"
    if made is not None:
        told = f"{made:,} prediction{' is an annotation' if made == 1 else 's are annotations'} now; {undo}"
        left = f" Of {new - made:,} more Label Studio has no prediction to accept: repeat this once all are written."
        return told + (left if made < new else "")
    others = "" if new == found.accepted else f"; the other {found.accepted - new:,} are already"
    again = f"`prelabel certify --project {project}{asked.as_options} --accept`"
    return f"{again} makes annotations of {new:,} of them{others}."


def _promise(verdict: Certificate, asked: Asked) -> str:
    whole = f"all {verdict.tasks:,} labels" if asked.error_of is ErrorOf.ALL else "the labels from the threshold on"
    told = f"{_per_cent(asked.confidence)} sure: at most {_per_cent(asked.max_error)} of {whole} are wrong"
    if not verdict.accepted:
        return f"{told}; but nothing is left that could be accepted unseen."
    others = f" and people check {verdict.to_check:,}" if verdict.to_check else ""
    return f"{told} when {verdict.accepted:,} predictions ({_per_cent(verdict.saved)}) are accepted unseen{others}."


def _evidence(verdict: Certificate, asked: Asked) -> str:
    of = "all" if asked.error_of is ErrorOf.ALL else "these"
    return f"of {verdict.audited_above:,} audited there: at most {_per_cent(verdict.bound)} of {of} labels"


def _notes(found: AuditFile, *, cross_fitted: bool) -> list[str]:
    notes = []
    fitted = sum(row.fitted for row in found.audit)
    if fitted and not cross_fitted:
        notes.append(f"{fitted:,} rows of the audit were used in fitting and prove nothing (see --cross-fitted).")
    if found.all_gold_is_audit and found.audit:
        notes.append(
            f"All {len(found.audit):,} rows with gold are taken as drawn at random; the promise holds only if they "
            'were (a column "audit", true or false, tells which).'
        )
    if found.waiting:
        notes.append(
            f"{len(found.waiting):,} rows of the audit have no gold yet; the promise takes it that any may lack it."
        )
    if found.audit:
        notes.append(
            "The promise is for one look: whoever certifies again, with more gold or other predictions, until it "
            "succeeds, is less sure than this says."
        )
    return notes


def _per_cent(share: float) -> str:
    return f"{round(100 * share, 2 if 0.0001 <= share < 0.99 else 6):g} %"
