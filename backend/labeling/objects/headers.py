"""`<Header>`: one whose text comes from the task's data is shown to the model; one of words alone asks a question."""

from __future__ import annotations

from collections.abc import Iterable

from backend.labeling.data_values import is_template, variables_in
from backend.labeling.objects.base import ObjectTag
from backend.labeling.objects.text import Text


def shown_headers(values: Iterable[str], objects: Iterable[ObjectTag]) -> dict[str, ObjectTag]:
    """The headers that show what no object shows, by a name made of their keys; `values` as in the labeling config."""
    shown = {o.variable for o in objects}
    headers = [header for value in dict.fromkeys(values) if (header := _of_data(value))]
    return {header.name: header for header in headers if not shown.issuperset(header.variables)}


def _of_data(value: str) -> Text | None:
    if not is_template(value):
        variable = value.strip()[1:]
        return Text(name=variable, variable=variable)
    name = " ".join(value.replace("$", "").split())
    return Text(name=name, variable="", template=value) if variables_in(value) and name else None
