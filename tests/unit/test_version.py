"""The version changes with what changes answers, whoever computes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backend.core.values import Agent
from backend.labeling.parsing import parse_config
from backend.version import version_for

AGENT = Agent(name="a", model="m", template="default.v1")
TEXT, IMAGE = '<Text name="o" value="$o"/>', '<Image name="o" value="$o"/>'
PDF, LIST = '<Pdf name="o" value="$o"/>', '<List name="o" value="$o"/>'


def choices(count: int, attributes: str = "") -> str:
    listed = "".join(f'<Choice value="{n}"/>' for n in range(count))
    return f'<Choices name="c" toName="o" {attributes}>{listed}</Choices>'


LABELS = '<Labels name="l" toName="o"><Label value="a"/></Labels>'


@pytest.mark.parametrize(
    ("inner", "change", "counts"),
    [
        (TEXT + choices(8), {"context_tokens": 9}, False),
        (TEXT + choices(9), {"context_tokens": 9}, True),
        (TEXT + '<Choices name="c" toName="o" value="$options"/>', {"context_tokens": 9}, True),
        (TEXT + LABELS + choices(9, 'perRegion="true"'), {"context_tokens": 9}, True),
        (LIST + '<Ranker name="r" toName="o"/>', {"context_tokens": 9}, False),
        (TEXT + choices(2), {"image_side": 9}, False),
        (IMAGE + choices(2), {"image_side": 9}, True),
        (IMAGE + choices(2), {"document_pages": 9}, False),
        (PDF + choices(2), {"document_pages": 9}, True),
        (PDF + choices(2), {"image_side": 9}, True),
        (TEXT + LABELS, {"relations": False}, False),
        (TEXT + LABELS + "<Relations/>", {"relations": False}, True),
    ],
)
def test_a_setting_counts_where_it_can_change_an_answer(inner: str, change: dict[str, Any], counts: bool) -> None:
    config = parse_config(f"<View>{inner}</View>")
    assert config.refusals == ()
    versions = {version_for(agent, config, "template", "") for agent in (AGENT, replace(AGENT, **change))}
    assert len(versions) == 1 + counts
