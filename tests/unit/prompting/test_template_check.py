"""A template must show the data in its fences, all options and the answer's shape, whoever wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.core.errors import TemplateError
from backend.prompting.template_check import check_template

FENCES = "between two lines of its fence"
OPTIONS = "every option of every control"
REGIONS = "what is asked for each region"
SHAPE = "the shape of the answer"


@pytest.fixture
def default(repository: Path) -> str:
    return (repository / "prompts" / "default.v1.jinja").read_text()


def test_every_template_that_is_shipped_passes(repository: Path) -> None:
    templates = list((repository / "prompts").glob("*.jinja"))
    assert templates
    for template in templates:
        check_template(template.read_text())


@pytest.mark.parametrize(
    ("part", "instead", "missing"),
    [
        ("{{ object.fence }}\n{{ object.text }}\n{{ object.fence }}", "{{ object.text }}", FENCES),
        ("{{ object.fence }}", "~~~", FENCES),  # a task's text may hold it
        ("{{ object.text }}", "", FENCES),
        ("in objects", "in objects[:1]", FENCES),
        ("Instructions of the project", "{{ objects[0].text }}", "data outside of its fences"),
        ("in field.options", "in field.options[:50]", OPTIONS),
        ("in field.options", "in field.options if variant == 0", OPTIONS),
        ("for field in fields", "for field in fields[:1]", OPTIONS),
        ("in part.options", "in part.options[1:]", REGIONS),
        ("in field.attached", "in []", REGIONS),
        ("{{ shape }}", "", SHAPE),
        ("{{ shape }}", "{{ shape if not confidence_key }}", SHAPE),
        ("{{ shape }}", "{{ shape | upper }}", SHAPE),
        ("{{ shape }}", "{{ unknown }}", "does not render"),
        ("{% for object", "{% for", "does not render"),
    ],
)
def test_what_is_left_out_is_named_in_one_sentence(default: str, part: str, instead: str, missing: str) -> None:
    assert part in default
    with pytest.raises(TemplateError) as raised:
        check_template(default.replace(part, instead))
    assert missing in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_asked_is_the_templates() -> None:
    """Another order, other words, no system message."""
    check_template(
        "{% block user %}Sortiere dies ein.{% for field in fields %}\n{{ field.name }}:\n"
        "{% for o in field.options %}* {{ o.name }}\n{% endfor %}{% for part in field.attached %}{{ part.name }}:"
        "{% for o in part.options %}{{ o.name }}, {% endfor %}{% endfor %}{% endfor %}\n{{ shape }}\n"
        "{% for object in objects %}{{ object.fence }}\n{{ object.text }}\n{{ object.fence }}\n{% endfor %}"
        "{% endblock %}"
    )


def test_examples_that_are_placed_are_shown_in_every_case(default: str) -> None:
    placed = default.replace("{% block user -%}", "{% block user -%}{{ examples }}")
    check_template(placed)
    with pytest.raises(TemplateError, match="names `examples` and does not show them in every case"):
        check_template(placed.replace("{{ examples }}", "{% if variant %}{{ examples }}{% endif %}"))
