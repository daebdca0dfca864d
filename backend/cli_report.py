"""`prelabel report`: what people made of the predictions, and what the labels are worth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from backend.cli_common import JsonOption, ProjectOption, open_parts, warn
from backend.cli_golden import show_people, who
from backend.cli_scores import show_scores
from backend.cli_show import line, out, print_json, with_interval
from backend.core.errors import InputError, LabelStudioError, ProjectUnknown, QueueError, SettingsError
from backend.core.text import percent
from backend.report_page import page
from backend.wiring import Parts

_MOST_LABELS, _MOST_VALUES, _MOST_PEOPLE, _MOST_PAIRS = 10, 10, 20, 5


def report_command(
    project: ProjectOption,
    agent: Annotated[
        list[str] | None,
        typer.Option("--agent", help="NAME or NAME@HASH; all versions of a name, side by side. May be repeated."),
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page to this file.", metavar="FILE")] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell how much is verified, how often it is confirmed, and, from the blind audit, how good the labels are."""
    parts = open_parts()
    warn(_read(parts, project))
    report = parts.reports.report(project, agents=tuple(agent or ()))
    if html is not None:
        try:
            html.write_text(page(report), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{html} cannot be written ({error.strerror}): name another file.") from error
    if as_json:
        print_json(report)
        return
    _show(report)
    if html is not None:
        line(f"The page: {html}")


def _read(parts: Parts, project: int) -> str | None:
    """Read what was annotated since; a warning where that cannot be."""
    try:
        parts.need_key()
        parts.verifier.catch_up(project)
    except ProjectUnknown:
        return None  # the report says so
    except QueueError as error:  # what is read is stored before anything is queued
        return str(error)
    except (LabelStudioError, SettingsError) as error:
        return f"This is of the annotations as they were read last. {error}"
    return None


def _show(report: Mapping[str, Any]) -> None:
    audit = report["audit"]
    line(f"Project {report['project']}{': ' + report['title'] if report['title'] else ''}, {report['made_at'][:10]}")
    for figures in report["versions"]:
        _show_version(figures)
    if audit is not None:
        shown = f"; {audit['annotated_shown']} more had been shown before" if audit["annotated_shown"] else ""
        counted = audit["for_accuracy"]
        others = f" Accuracies are from {counted} of them, which had the same chance each; certificates may count more."
        told = others if counted < audit["annotated_blind"] else ""
        line(f"Blind audit: {audit['annotated_blind']} tasks annotated unseen{shown}.{told}")
    annotations = {name: n for name, n in report["annotations"].items() if n}
    if annotations:
        told = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in annotations.items())
        line(f"Annotations: {told}")
    _show_people(report["people"])
    show_people(report["golden"], report["left_out"])


def _show_version(figures: Mapping[str, Any]) -> None:
    line("")
    line(f"{figures['version']}{' (current)' if figures['current'] else ''}")
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 2))
    table.add_row("accuracy", with_interval(figures["accuracy"]) or "not known")
    if figures["warning"]:
        table.add_row("", Text(figures["warning"], style="yellow"))
    table.add_row("confirmed as shown", with_interval(figures["confirmed"]) or "nothing verified yet")
    share = figures["verified_share"]
    of_all = "" if share is None else f" of {figures['answered']:,} ({percent(share)})"
    table.add_row("verified", f"{figures['verified']:,}{of_all}")
    calibration = figures["calibration"]
    if calibration is not None:
        ece, auroc = number(calibration["ece"]), number(calibration["auroc"])
        table.add_row("scores, on the audit", f"ECE {ece}, AUROC {auroc}, {calibration['n']} tasks")
    cost = figures["cost"]
    dollars = "" if cost["usd"] is None else f", {money(cost['usd'])}"
    each = [
        f"{money(cost[name])} a {what} task"
        for name, what in (("usd_per_verified", "verified"), ("usd_per_confirmed", "confirmed"))
        if cost[name] is not None
    ]
    table.add_row("cost", f"{cost['tokens']:,} tokens{dollars}" + (f" ({', '.join(each)})" if each else ""))
    out.print(table)
    show_scores(figures["scores"])
    _show_controls(figures["controls"])
    _show_slices(figures["slices"])
    _show_student(figures["student"])


def _show_controls(controls: Mapping[str, Any]) -> None:
    if not controls:
        return
    table = Table(box=None, padding=(0, 2, 0, 2))
    for name in ("control", "confirmed as shown", "accuracy (audit)", "agreement", "kappa", "most often changed"):
        table.add_column(name)
    for name, told in controls.items():
        changed = ", ".join(
            f"{one['predicted'] or '(nothing)'} to {one['final'] or '(nothing)'} {one['n']}"
            for one in told["changed"][:_MOST_PAIRS]
        )
        table.add_row(
            Text(name),
            with_interval(told["confirmed"]),
            with_interval(told["accuracy"]),
            number(told["agreement"]),
            number(told["kappa"]),
            Text(changed),
        )
    out.print(table)
    for name, told in controls.items():
        labels = list(told["labels"].items())
        if len(labels) > 1:
            shown = ", ".join(
                f"{label} {percent(rate['share'], 0)} of {rate['n']}" for label, rate in labels[:_MOST_LABELS]
            )
            line(f"  {name} confirmed by label: {shown}{', ...' if len(labels) > _MOST_LABELS else ''}")


def _show_slices(slices: Mapping[str, Any]) -> None:
    for column, values in slices.items():
        told = [
            f"{value} {with_interval(rates['accuracy']) or with_interval(rates['confirmed']) + ' confirmed'}"
            for value, rates in list(values.items())[:_MOST_VALUES]
        ]
        line(f"  by {column}: {'; '.join(told)}{'; ...' if len(values) > _MOST_VALUES else ''}")


def _show_student(student: Mapping[str, Any]) -> None:
    """Where a student of verified labels would do better, and what to do then; else one line."""
    for control, told in student.items():
        if told["why_not"] is not None:
            continue
        both = f"{with_interval(told['student'])}, this version {with_interval(told['version'])}"
        line(f"  {control}, on the blind audit: a student of {told['taught']:,} verified labels {both}.")
        better = [
            f"{column} {value}: {with_interval(both['student'])} instead of {with_interval(both['version'])}"
            for column, values in told["slices"].items()
            for value, both in values.items()
            if both["student_is_better"]
        ]
        if told["student_is_better"] or better:
            where = "" if told["student_is_better"] else " there"
            slices = f" for {'; '.join(better[:_MOST_VALUES])}" if better else ""
            line(f"  The student is better{slices}. It can annotate{where}: an agent with `provider: student`.")


def _show_people(people: Mapping[str, Any]) -> None:
    if not people["annotators"]:
        return
    line("")
    table = Table(box=None, padding=(0, 2, 0, 2))
    for name in ("annotator", "annotations", "confirmed", "median seconds"):
        table.add_column(name)
    for person in people["annotators"][:_MOST_PEOPLE]:
        seconds = person["median_lead_time_s"]
        table.add_row(
            Text(who(person)),
            str(person["annotations"]),
            with_interval(person["confirmed"]),
            "" if seconds is None else f"{seconds:.1f}",
        )
    out.print(table)
    lead = people["lead_time"]
    with_, without = lead["with_prediction"], lead["without"]
    if with_["median_s"] is not None and without["median_s"] is not None:
        line(
            f"Seconds a task: {with_['median_s']:.1f} with a prediction shown, {without['median_s']:.1f} without "
            f"(medians of {with_['n']} and {without['n']})."
        )
    for control, told in people["agreement"].items():
        if told["tasks"]:
            several = f"{told['tasks']} tasks with several annotators, {told['disagreed']} disagreed"
            line(f"{control}: {several}; alpha {number(told['alpha'])}.")


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def money(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.2g}"
