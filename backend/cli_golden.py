"""`prelabel golden`: tasks with a known answer, hidden among the others, and what they say of annotators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from backend.cli_common import JsonOption, ProjectOption, open_parts
from backend.cli_show import line, out, print_json, with_interval
from backend.core.golden import GoldenTask
from backend.services.golden_making import Made
from backend.services.golden_panel import panel, told, told_left_out
from backend.services.rescoring import known

golden_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@golden_app.command("make", short_help="Hide tasks with a known answer among the others.")
def make_command(
    project: ProjectOption,
    count: Annotated[int, typer.Option("-n", min=1, max=1_000, help="How many questions.")] = 30,
    annotators: Annotated[
        int | None,
        typer.Option("--annotators", min=1, max=100, help="How many people are asked each; by default all so far."),
    ] = None,
    control: Annotated[
        str | None, typer.Option("--control", help="Which control, where several could be asked about.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List them and import nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Import copies of tasks whose answer is beyond doubt, about a quarter of them with a wrong prediction.

    Nothing in Label Studio tells them from other tasks.
    """
    made = open_parts().golden_making.make(project, count, control=control, annotators=annotators, dry_run=dry_run)
    if as_json:
        print_json({"project": project, "made": not dry_run, **_made(made)})
        return
    traps = sum(one.trap for one in made.questions)
    what = "would be imported" if dry_run else "were imported"
    line(
        f"{len(made.questions)} golden questions {what}, {traps} of them with a wrong prediction, "
        f"for {made.annotators} annotators each."
    )
    if dry_run:
        _show_questions(made)
    for note in made.notes:
        line(note)


@golden_app.command("show", short_help="How annotators answered them.")
def show_command(
    project: ProjectOption,
    tasks: Annotated[bool, typer.Option("--tasks", help="Name the tasks too. Keep that from annotators.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell of each annotator how many were right, how many wrong predictions were noticed, and whether that is enough.

    From the annotations as they were read last: `prelabel verifications` reads them now.
    """
    parts = open_parts()
    row, _ = known(parts.store, project)
    found = panel(parts.store, row)
    listed = [_in_numbers(one) for one in found.questions] if tasks else None
    golden, left_out = told(found), told_left_out(found.left_out)
    if as_json:
        more = {} if listed is None else {"tasks": listed}
        print_json({"project": project, "golden": golden, "left_out": left_out, **more})
        return
    if golden is None:
        line(f"Project {project} has no golden questions: make some with `prelabel golden make --project {project}`.")
    show_people(golden, left_out)
    for one in found.questions if tasks else ():
        line(f"  task {one.task_id}, of {one.source_task_id}: {one.label}{_shown(one)}")


@golden_app.command("exclude", short_help="Leave an annotator out of everything.")
def exclude_command(
    project: ProjectOption,
    annotator: Annotated[int, typer.Option("--annotator", min=1, help="The annotator's id, as in `report`.")],
    undo: Annotated[bool, typer.Option("--undo", help="Count them again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Leave an annotator's annotations out of reports, scores, certificates, examples and comparisons."""
    parts = open_parts()
    leaving = parts.leaving_out
    n = leaving.take_back(project, annotator) if undo else leaving.leave_out(project, annotator)
    if as_json:
        print_json({"project": project, "annotator": annotator, "left_out": not undo, "annotations": n})
    elif undo:
        line(f"Annotator {annotator} counts again, with {n} annotations. Workers fit the scores anew.")
    else:
        line(
            f"Annotator {annotator} is left out, with {n} annotations: they count for nothing, and nothing is deleted. "
            "Workers fit the scores anew."
        )


@golden_app.command("end", short_help="Delete the golden questions.")
def end_command(project: ProjectOption, as_json: JsonOption = False) -> None:
    """Delete the copies in Label Studio, with what was said of them. Whoever is left out stays left out."""
    deleted = open_parts().golden_making.end(project)
    if as_json:
        print_json({"project": project, "deleted": deleted})
    else:
        what = f"{deleted} golden questions of project {project} were deleted, with what was said of them."
        line(what if deleted else f"Project {project} has no golden questions: nothing to delete.")


def show_people(golden: Mapping[str, Any] | None, left_out: list[dict[str, Any]]) -> None:
    """How annotators did, and who is left out; nothing where there is neither."""
    if golden is not None:
        lost = f"; {golden['unusable']} more cannot be used, because their label or control left the labeling config"
        line(
            f"Golden questions: {golden['questions']}, {golden['traps']} of them with a wrong prediction"
            f"{lost if golden['unusable'] else ''}."
        )
        table = Table(box=None, padding=(0, 2, 0, 2))
        for name in ("annotator", "verdict", "right", "wrong predictions noticed"):
            table.add_column(name)
        for person in golden["annotators"]:
            out_now = " (left out)" if person["left_out"] else ""
            table.add_row(
                Text(who(person)),
                f"{person['verdict']}{out_now}",
                with_interval(person["accuracy"]),
                with_interval(person["catch_rate"]),
            )
        if table.row_count:
            out.print(table)
        for person in golden["annotators"]:
            line(f"  {who(person)}: {person['because']}")
    for person in left_out:
        line(f"Left out: annotator {person['annotator']}, {person['annotations']} annotations count for nothing.")


def who(person: Mapping[str, Any]) -> str:
    """The annotator's name, where Label Studio tells it, and the number of the account."""
    if person["annotator"] is None:
        return "unknown"
    return f"{person['name']} ({person['annotator']})" if person.get("name") else f"user {person['annotator']}"


def _made(made: Made) -> dict[str, Any]:
    return {
        "questions": len(made.questions),
        "traps": sum(one.trap for one in made.questions),
        "annotators": made.annotators,
        "weak": made.weak,
        "notes": list(made.notes),
        "tasks": [_in_numbers(one) for one in made.questions],
    }


def _in_numbers(one: GoldenTask) -> dict[str, Any]:
    return {
        "task": one.task_id,
        "copy_of": one.source_task_id,
        "control": one.control,
        "label": one.label,
        "shown": one.shown,
        "trap": one.trap,
    }


def _show_questions(made: Made) -> None:
    for one in made.questions:
        line(f"  copy of task {one.source_task_id}: {one.label}{_shown(one)}")


def _shown(one: GoldenTask) -> str:
    return f", shown as {one.shown}" if one.trap else ""
