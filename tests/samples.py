"""Labeling configs and small builders that many tests share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.core.values import Agent, Reply, Task, TokenLogprob, Usage
from backend.dialogue import Question
from backend.labeling.parsing import parse_config
from backend.labeling.shown import PlainText, Shown

# One call a task: what costs more is asked for by the tests that are about it.
AGENT = {"name": "tester", "model": "scripted", "template": "default.v1", "confidence": "logprob"}
TEMPLATE = (Path(__file__).parent.parent / "prompts" / "default.v1.jinja").read_text(encoding="utf-8")

SENTIMENT = """
<View>
  <Text name="text" value="$text"/>
  <Choices name="sentiment" toName="text">
    <Choice value="positive"/><Choice value="negative"/><Choice value="neutral"/>
  </Choices>
</View>
"""

SENTIMENT_AND_TOPIC = """
<View>
  <Text name="text" value="$text"/>
  <Choices name="sentiment" toName="text">
    <Choice value="positive"/><Choice value="negative"/><Choice value="neutral"/>
  </Choices>
  <Choices name="topic" toName="text" choice="multiple">
    <Choice value="billing"/><Choice value="delivery"/>
  </Choices>
</View>
"""

TWO_OBJECTS = """
<View>
  <Text name="question" value="$question"/>
  <Text name="reply" value="$reply"/>
  <Choices name="tone" toName="question"><Choice value="calm"/><Choice value="angry"/></Choices>
  <Choices name="quality" toName="reply"><Choice value="good"/><Choice value="bad"/></Choices>
</View>
"""

ALL_REFUSED = """
<View>
  <Audio name="sound" value="$sound"/>
  <Labels name="calls" toName="sound"><Label value="cat"/></Labels>
</View>
"""

EVERY_CONTROL = """
<View>
  <Header value="First text"/>
  <Text name="a" value="$a"/>
  <HyperText name="b" value="$b"/>
  <Header value="How does the writer feel?"/>
  <Choices name="mood" toName="a" required="true">
    <Choice value="Happy" alias="pos" hint="joy, thanks or praise"/>
    <Choice value="Sad" alias="neg"/>
  </Choices>
  <Choices name="topics" toName="a" choice="multiple">
    <Choice value="billing" hint="invoices &amp; refunds"/><Choice value="delivery"/>
  </Choices>
  <Labels name="entities" toName="a">
    <Label value="PER" hint="people, by name"/><Label value="ORG"/>
  </Labels>
  <Rating name="stars" toName="b" maxRating="4"/>
  <Number name="amount" toName="a" min="0" max="100" step="0.5"/>
  <TextArea name="summary" toName="b" placeholder="one sentence" required="true"/>
  <Taxonomy name="kind" toName="a" maxUsages="2">
    <Choice value="Animal"><Choice value="Cat" hint="any felid"/><Choice value="Dog"/></Choice>
    <Choice value="Plant"/>
  </Taxonomy>
  <DateTime name="day" toName="a" only="date"/>
  <Header value="Which is clearer?"/>
  <Pairwise name="better" toName="a,b"/>
</View>
"""

REGIONS = """
<View>
  <Text name="note" value="$note"/>
  <Labels name="ner" toName="note"><Label value="PER" hint="people"/><Label value="ORG"/></Labels>
  <Header value="How does this person feel?"/>
  <Choices name="mood" toName="note" perRegion="true" whenLabelValue="PER">
    <Choice value="glad" hint="or proud"/><Choice value="sad" alias="s"/>
  </Choices>
  <TextArea name="why" toName="note" perRegion="true" visibleWhen="choice-selected" whenTagName="mood"/>
  <Choices name="whole" toName="note"><Choice value="news"/><Choice value="letter"/></Choices>
</View>
"""


def question(xml: str = SENTIMENT, *, instructions: str = "", template: str = TEMPLATE, **agent: Any) -> Question:
    """What stays the same over a version's tasks; keywords change the agent."""
    return Question(
        config=parse_config(xml),
        agent=Agent(**{**AGENT, **agent}),
        template_source=template,
        instructions=instructions,
        version="tester@00000000",
    )


def task(**data: Any) -> Task:
    return Task(id=7, project_id=1, data=data)


def reply(text: str, *, finish_reason: str = "stop", tokens: tuple[TokenLogprob, ...] | None = None) -> Reply:
    usage = Usage(prompt_tokens=100, completion_tokens=10, calls=1)
    return Reply(text=text, finish_reason=finish_reason, usage=usage, model="scripted-1", tokens=tokens, latency_s=0.5)


def shown(**texts: str) -> Mapping[str, Shown]:
    return {name: Shown(name=name, text=text, passages=PlainText(text=text)) for name, text in texts.items()}
