"""One version string, the same in every place; it changes when an answer could, and only then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from backend.core.errors import ConfigError, LabelStudioNotFound, LabelStudioUnreachable
from backend.services.projects import Projects, what_is_answered
from tests.fakes.installation import AGENT, CONFIG, Installation

UNSUPPORTED = (
    '<View><Image name="i" value="$i"/><BrushLabels name="b" toName="i"><Label value="x"/></BrushLabels></View>'
)
PARTLY = CONFIG.replace("</View>", '<Ranker name="r" toName="text"/></View>')


def version(
    *, config: str = CONFIG, instructions: str = "", template: str = "{{ a }}", agent: dict[str, Any] | None = None
) -> str | None:
    installation = Installation()
    projects = Projects(store=installation.store, agent=replace(AGENT, **(agent or {})), template_source=template)
    row, _ = projects.remember(1, config, instructions)
    return row.version


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"config": CONFIG.replace("praise", "joy")}, True),
        ({"config": CONFIG.replace('"negative"', '"bad"')}, True),
        ({"config": CONFIG.replace("$text", "$other")}, True),
        ({"instructions": "Irony is negative."}, True),
        ({"template": "{{ b }}"}, True),
        ({"agent": {"model": "another"}}, True),
        ({"agent": {"name": "other"}}, True),
        ({"agent": {"temperature": 0.5}}, True),
        ({"config": CONFIG.replace('value="positive"', 'value="positive" background="red"')}, False),
        ({"config": CONFIG.replace("<View>", '<View style="color: red">\n  ')}, False),
        ({"config": CONFIG.replace("<View>", "<View><!-- a note -->")}, False),
        ({"instructions": "   "}, False),
        ({}, False),
    ],
)
def test_the_version_changes_when_an_answer_could(change: dict[str, Any], changed: bool) -> None:
    assert (version(**change) != version()) is changed


def test_instructions_count_by_their_text_and_not_by_their_markup() -> None:
    assert version(instructions="<p>Be <b>strict</b>.</p>") == version(instructions="Be strict.")


def test_remembering_the_same_is_no_news() -> None:
    installation = Installation()
    first, news = installation.projects.remember(1, CONFIG, "Be strict.")
    again, news_again = installation.projects.remember(1, CONFIG)
    assert (news, news_again) == (True, False)
    assert again == first
    assert again.instructions == "Be strict."


def test_a_cosmetic_change_is_stored_and_keeps_the_version() -> None:
    installation = Installation()
    first, _ = installation.projects.remember(1, CONFIG)
    again, news = installation.projects.remember(1, CONFIG.replace('"positive"', '"positive" background="red"'))
    assert news
    assert again.version == first.version


def test_what_is_refused_is_logged_once_by_name(caplog: pytest.LogCaptureFixture) -> None:
    installation = Installation()
    for _ in range(3):
        row, _ = installation.projects.remember(1, PARTLY)
    assert row.version is not None
    assert len(row.refusals) == 1
    assert '"r"' in row.refusals[0]
    assert [r.refused for r in caplog.records if r.message == "not annotated"] == list(row.refusals)  # type: ignore[attr-defined]


@pytest.mark.parametrize("config", [UNSUPPORTED, "<View></View>", "", "not XML", "\ud800", "<View>\x00</View>"])
def test_a_config_that_cannot_be_answered_has_no_version_and_says_why(config: str) -> None:
    installation = Installation()
    row, _ = installation.projects.remember(1, config)
    assert row.version is None
    assert row.refusals
    assert installation.projects.setup_version(row) == "tests@unsupported"
    with pytest.raises(ConfigError):
        installation.projects.question(row)


def test_what_can_be_used_instead_is_told_where_the_tag_is_the_reason_only() -> None:
    """Whatever names and words a project uses."""
    told = what_is_answered(CONFIG.replace("</View>", '<Rating name="not supported" toName="not supported"/></View>'))
    assert told == "Rating \"not supported\" points to 'not supported', which is not in the config"
    assert "Prelabel answers Choices" in what_is_answered(
        CONFIG.replace("</View>", '<BrushLabels name="b" toName="text"/></View>')
    )
    assert what_is_answered(CONFIG) == ""
    assert what_is_answered("<View>").startswith("The labeling config is not well-formed XML")


def test_the_question_has_the_version_of_the_row() -> None:
    installation = Installation()
    row, _ = installation.projects.remember(1, CONFIG, "Be <b>strict</b>.")
    assert installation.projects.question(row).version == row.version


def connected(installation: Installation, title: str = "LLM") -> tuple[int, int]:
    project_id, _ = installation.project("text")
    backend = installation.labels.save_backend(project_id, None, {"url": "http://here:9090", "title": title})
    return project_id, backend.id


def test_sync_makes_the_version_the_same_everywhere() -> None:
    installation = Installation()
    project_id, _ = connected(installation)
    row = installation.projects.sync(installation.labels, project_id)
    assert [b.title for b in installation.labels.backends(project_id)] == [row.version]
    assert installation.labels.project(project_id).model_version == row.version


def test_sync_follows_a_change_of_the_config() -> None:
    installation = Installation()
    project_id, _ = connected(installation)
    before = installation.projects.sync(installation.labels, project_id)
    installation.labels.edit_project(project_id, label_config=CONFIG.replace("praise", "joy"))
    after = installation.projects.sync(installation.labels, project_id)
    assert after.version != before.version
    assert [b.title for b in installation.labels.backends(project_id)] == [after.version]
    assert installation.labels.project(project_id).model_version == after.version


def test_sync_writes_nothing_when_all_is_in_order() -> None:
    installation = Installation()
    project_id, _ = connected(installation)
    installation.projects.sync(installation.labels, project_id)
    installation.labels.calls.clear()
    installation.projects.sync(installation.labels, project_id)
    assert installation.labels.calls == []


def test_sync_of_a_project_without_a_backend_and_without_predictions() -> None:
    """Label Studio does not take the version yet: no failure."""
    installation = Installation()
    project_id, _ = installation.project("text")
    row = installation.projects.sync(installation.labels, project_id)
    assert row.version is not None
    assert installation.labels.project(project_id).model_version is None


def test_sync_renames_our_backend_only() -> None:
    installation = Installation()
    project_id, ours = connected(installation, "tests@0123abcd")
    other = installation.labels.save_backend(project_id, None, {"url": "http://other", "title": "SAM"})
    row = installation.projects.sync(installation.labels, project_id)
    titles = {b.id: b.title for b in installation.labels.backends(project_id)}
    assert titles == {ours: row.version, other.id: "SAM"}


def test_sync_renames_none_of_several_strangers() -> None:
    installation = Installation()
    project_id, _ = connected(installation, "one")
    installation.labels.save_backend(project_id, None, {"url": "http://other", "title": "two"})
    installation.projects.sync(installation.labels, project_id)
    assert {b.title for b in installation.labels.backends(project_id)} == {"one", "two"}


def test_sync_of_an_unsupported_project_changes_nothing_there() -> None:
    installation = Installation()
    project_id, _ = installation.project("text", config=UNSUPPORTED)
    installation.labels.save_backend(project_id, None, {"url": "http://here", "title": "mine"})
    installation.labels.calls.clear()
    row = installation.projects.sync(installation.labels, project_id)
    assert row.version is None
    assert installation.labels.calls == []


def away(installation: Installation) -> None:
    installation.labels.reachable = False


@pytest.mark.parametrize(
    ("project", "before", "error"), [(99, lambda i: None, LabelStudioNotFound), (1, away, LabelStudioUnreachable)]
)
def test_sync_tells_what_label_studio_says(
    project: int, before: Callable[[Installation], None], error: type[Exception]
) -> None:
    installation = Installation()
    assert connected(installation)[0] == 1
    before(installation)
    with pytest.raises(error):
        installation.projects.sync(installation.labels, project)


@pytest.mark.parametrize(
    ("tag", "agent", "changed"),
    [
        ("Text", {"image_side": 100, "document_pages": 3}, False),
        ("Image", {"document_pages": 3}, False),
        ("Image", {"image_side": 100}, True),
        ("Pdf", {"document_pages": 3}, True),
        ("Pdf", {"image_side": 100}, True),
    ],
)
def test_limits_count_where_they_change_what_is_shown(tag: str, agent: dict[str, Any], changed: bool) -> None:
    config = f'<View><{tag} name="o" value="$o"/><Rating name="r" toName="o"/></View>'
    assert (version(config=config, agent=agent) != version(config=config)) is changed
