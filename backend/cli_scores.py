"""`prelabel scores`: which score orders the tasks, which were tried, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from backend.cli_common import JsonOption, ProjectOption, open_parts
from backend.cli_show import line, out, print_json
from backend.core.errors import QueueError
from backend.services.calibrating import Calibrated, not_adopted
from backend.services.rescoring import known
from backend.services.scorings import told_of


def scores_command(
    project: ProjectOption,
    refit: Annotated[bool, typer.Option("--refit", help="Fit them now on all that is verified.")] = False,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Make an agent of batch calibration, if the blind audit is for it."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell which score is used, which others were tried on the blind audit, with all figures and the reason.

    Workers fit them again with every 25 submitted annotations.
    """
    parts = open_parts()
    _, version = known(parts.store, project)
    if refit:
        parts.need_key()
        if parts.rescoring.refit(project) is None:
            raise QueueError(f"Predictions of project {project} are being written: repeat this in a minute.")
    if calibrate:
        _show_calibrated(project, parts.calibrate(project), as_json=as_json)
        return
    told = told_of(parts.store, project, version)
    if as_json:
        print_json({"project": project, "version": version, **told})
        return
    line(parts.store.shown_version(project, version))
    show_scores(told)


def _show_calibrated(project: int, made: Calibrated, *, as_json: bool) -> None:
    """The agent, what it gains, and how its labels come into use."""
    name = made.agent.reference
    if as_json:
        gains = {control: dict(gain) for control, gain in made.gains.items()}
        print_json({"project": project, "agent": name, "is_new": made.is_new, "gains": gains})
        return
    for control, gain in made.gains.items():
        line(f"{control}: {_batch(gain)}.")
    line(f"{name} is registered{'' if made.is_new else ' already'}. Nothing is changed yet.")
    line(f"Next: prelabel run --project {project} --agent {name} --wait   (what is answered is read again, not asked)")
    line(f"Then: prelabel agents use {name} --project {project}")


def show_scores(told: Mapping[str, Any]) -> None:
    """What the last fit found."""
    if told["begun_at"] is not None:
        line(
            f"  scores: a fit was begun at {told['begun_at']} and has not ended. If that is more than ten minutes ago "
            "it was killed: `prelabel scores --refit` tries again, else workers do after 25 more submissions."
        )
    last = told["last"]
    if last is None:
        line("  scores: the model's own confidence; nothing was fitted yet.")
        return
    table = Table(box=None, padding=(0, 2, 0, 2))
    for name in ("control", "score", "log-loss", "ECE", "AUROC"):
        table.add_column(name)
    for control, found in last["controls"].items():
        used = told["in_use"].get(control, "raw")
        for kind, figures in found["figures"].items():
            marked = f"{kind} (used)" if kind == used else kind
            table.add_row(Text(control), marked, *(_number(figures[name]) for name in ("log_loss", "ece", "auroc")))
    if table.row_count:
        out.print(table)
    for control, found in last["controls"].items():
        line(f"  {control}: {found['why']}")
        if found["batch"] is not None:
            proposed = "it is not applied" if not_adopted(found["batch"]) else "`prelabel scores --calibrate` adopts it"
            line(f"  {control}: {_batch(found['batch'])}; {proposed}.")


def _batch(batch: Mapping[str, Any]) -> str:
    (before, after), (order, ordered) = batch["accuracy"], batch["auroc"]
    return (
        f"batch calibration would make {batch['mended']} of {batch['audit']} audit labels right and "
        f"{batch['spoiled']} wrong (accuracy {_number(before)} to {_number(after)}, AUROC {_number(order)} to "
        f"{_number(ordered)})"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
