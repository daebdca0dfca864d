"""`prelabel queue`: how much is left to do, and why; and the tabs by which people do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from backend.cli_certify import CONFIDENCE, MAX_ERROR, Asked, look_as_json, share_given, verdict_as_json
from backend.cli_certify_reason import reason
from backend.cli_common import JsonOption, ProjectOption, open_parts
from backend.cli_show import line, out, print_json
from backend.confidence.certificate import ErrorOf, Refusal
from backend.core.errors import InputError
from backend.services.certifying import Verdict
from backend.services.differing import resolved_version
from backend.services.queue_tabs import AUDIT, VERIFY, SavedTab, save_tabs
from backend.services.remaining import CAP, Remaining
from backend.wiring import Parts

_SCORES = (0.5, 0.8, 0.95)


def queue_command(
    project: ProjectOption,
    tabs: Annotated[
        bool, typer.Option("--tabs", help='Make the tab "Verify next", or bring it up to date; the others too.')
    ] = False,
    differ: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--differ", help="Count where two agents or versions differ; with --tabs, a tab of these.", metavar="A B"
        ),
    ] = None,
    audit: Annotated[
        bool, typer.Option("--audit", help="With --tabs: a tab of the blind audit's tasks, which tells which they are.")
    ] = False,
    cap: Annotated[
        int, typer.Option("--cap", min=0, help="Of near duplicates so many are verified first; 0: all.", metavar="N")
    ] = CAP,
    max_error: Annotated[
        float, typer.Option(help="For the certificate: most that may be wrong.", metavar="SHARE", parser=share_given)
    ] = MAX_ERROR,
    confidence: Annotated[
        float, typer.Option(help="For the certificate: how sure it is.", metavar="SHARE", parser=share_given)
    ] = CONFIDENCE,
    as_json: JsonOption = False,
) -> None:
    """Tell how many tasks remain and why, least certain first; make the tabs for them."""
    if audit and not tabs:
        raise InputError("--audit is about the tabs: give --tabs too.")
    parts = open_parts()
    parts.need_key()
    parts.verifier.catch_up(project)
    remaining = parts.remainders.look(project, cap=cap, differ=_versions(parts, project, differ))
    asked = Asked(max_error=max_error, confidence=confidence, error_of=ErrorOf.ALL)
    verdict = parts.certifying.known_verdict(
        project, max_error=max_error, confidence=confidence, error_of=asked.error_of
    )
    columns = parts.remainders.columns(project) if tabs else ()
    saved = save_tabs(parts.store, parts.labels, columns, remaining, audit=audit) if tabs else []
    if as_json:
        print_json({**_as_json(remaining, saved), "certificate": _certificate_as_json(verdict, asked, project)})
        return
    _show(remaining)
    _show_certificate(verdict, asked, project)
    for one in saved:
        if one.kind == AUDIT and parts.store.audit_plan(project) is None:
            line(f"There is no blind audit: `prelabel audit begin --project {project} -n COUNT` draws one.")
        line(f'Tab "{one.tab.title}": {one.tasks:,} tasks{_beyond(one)}.')
        if one.tab.title != one.kind:
            line(f'A tab "{one.kind}" that was not made here stays as it is.')


def _versions(parts: Parts, project: int, names: tuple[str, str] | None) -> tuple[str, str] | None:
    if names is None:
        return None
    first, second = (resolved_version(parts.store, project, name) for name in names)
    if first == second:
        raise InputError(f"--differ names {first} twice: give two agents or versions.")
    return first, second


def _as_json(remaining: Remaining, saved: Sequence[SavedTab]) -> dict[str, Any]:
    return {
        "project": remaining.project_id,
        "version": remaining.version,
        "tasks": len(remaining.places),
        **remaining.counts,
        "below": {f"{score:g}": remaining.below(score) for score in _SCORES},
        "without_answer": remaining.unread,
        "repeats_of_verified": remaining.of_verified,
        "withheld": remaining.withheld,
        "done_unusable": remaining.unusable,
        "conflicts": None if remaining.conflicts is None else len(remaining.conflicts),
        "tabs": [{"id": one.tab.id, "title": one.tab.title, "tasks": one.tasks, "beyond": one.beyond} for one in saved],
    }


def _show(remaining: Remaining) -> None:
    """A line a place, those that somebody has to do something about first."""
    n = remaining.counts
    line(f"{remaining.version}: {n['verify'] + n['audit']:,} of {len(remaining.places):,} tasks are left for people.")
    below = ", ".join(f"{remaining.below(score):,} below {score:g}" for score in _SCORES)
    unread = f"; {remaining.unread:,} without a readable answer" if remaining.unread else ""
    rows = [("to verify", n["verify"], f"by score: {below}{unread}")]
    if remaining.conflicts is not None:
        rows.append(("conflicts", len(remaining.conflicts), "of these, where the two differ"))
    rows += [
        ("audit to annotate", n["audit"], f"blind; {remaining.withheld:,} predictions are made and withheld"),
        (
            "repeats",
            n["repeat"],
            f"held back (--cap 0: not): near duplicates, {remaining.of_verified:,} of verified tasks",
        ),
        ("waiting", n["waiting"], "for a prediction"),
        (
            "done",
            n["done"],
            f"by people; {remaining.unusable:,} of no use by now" if remaining.unusable else "by people",
        ),
        ("accepted", n["accepted"], "unseen"),
        ("skipped", n["skipped"], ""),
    ]
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for name, count, why in rows:
        table.add_row(name, f"{count:,}", Text(why))
    out.print(table)


def _certificate_as_json(verdict: Verdict | None, asked: Asked, project: int) -> dict[str, Any]:
    if verdict is None:
        return {"certified": None, "reason": _not_looked_at(asked, project), "may_be_accepted_now": None}
    told = {**verdict_as_json(verdict.found, asked, project), **look_as_json(verdict.look, asked)}
    return {**told, "may_be_accepted_now": len(verdict.accepted)}


def _not_looked_at(asked: Asked, project: int) -> str:
    """Each look at an audit costs certainty, so that only `certify` takes one."""
    return (
        f"the audit has enough labels for an answer: `prelabel certify --project {project} --max-error "
        f"{asked.max_error:g} --confidence {asked.confidence:g}` gives it, which is a look at the audit."
    )


def _show_certificate(verdict: Verdict | None, asked: Asked, project: int) -> None:
    if verdict is None:
        line(f"No certificate yet ({asked.in_words}): {_not_looked_at(asked, project)}")
        return
    found = verdict.found
    if isinstance(found, Refusal):
        line(f"Nothing may be accepted unseen ({asked.in_words}): {reason(found, project)}")
        return
    line(
        f"Certificate ({asked.in_words}): {len(verdict.accepted):,} of those to verify and of the repeats may be "
        f"accepted unseen, score {found.threshold:.3g} or more; people check {found.to_check:,}, the audit's among "
        "them."
    )


def _beyond(saved: SavedTab) -> str:
    if not saved.beyond:
        return ""
    what = "repeats that come late are shown too" if saved.kind == VERIFY else "more come"
    return f"; {saved.beyond:,} {what}: repeat this when the first ones are done"
