"""Agents' files: what they hold, and what is refused, all at once and without showing values."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.agent_file import MAX_FILE_BYTES, AgentFields, ExampleFields, read_agent
from backend.core.errors import InputError
from backend.core.values import Agent, Example

LEAST = "name: careful\nmodel: a-model\n"


def refusal(text: str) -> str:
    with pytest.raises(InputError) as raised:
        read_agent(text)
    return str(raised.value)


def test_an_agent_needs_a_name_and_a_model_only() -> None:
    assert read_agent(LEAST).to_agent() == Agent(name="careful", model="a-model", template="default.v1")


def test_the_defaults_are_those_of_an_agent() -> None:
    own = {
        f: getattr(Agent(name="n", model="m", template="default.v1"), f)
        for f in AgentFields.model_fields
        if f not in ("template_source", "examples", "name", "model", "retrieved", "selector")
    }
    assert {name: AgentFields.model_fields[name].default for name in own} == own


def test_embeddings_are_named_where_they_choose_examples() -> None:
    chosen = "retrieved: 5\nselector: embeddings\n"
    agent = read_agent(LEAST + chosen + "embeddings_model: small\nembeddings_url: http://other/v1/\n").to_agent()
    assert (agent.selector, agent.embeddings_model) == ("embeddings", "small")
    assert agent.embeddings_url == "http://other/v1"
    assert "selector: embeddings needs embeddings_model" in refusal(LEAST + chosen)
    for told in ("embeddings_model: small", "embeddings_url: http://other/v1", "retrieved: 5\nembeddings_model: small"):
        assert "need retrieved, and selector: embeddings" in refusal(LEAST + told)
    assert "embeddings_url: must be an http(s) URL" in refusal(LEAST + chosen + "embeddings_url: ftp://other")


def test_guidance_is_plain_text() -> None:
    assert read_agent(LEAST + "guidance: ' Sarcasm is negative. '").to_agent().guidance == "Sarcasm is negative."
    assert read_agent(LEAST + "guidance: ' '").to_agent() == read_agent(LEAST).to_agent()
    assert "guidance: it has a fence" in refusal(LEAST + 'guidance: "~~~"')
    assert "guidance: it has control characters" in refusal(LEAST + 'guidance: "a\\u0007b"')
    assert "guidance: it has more than 4,000 characters" in refusal(LEAST + f"guidance: {'x' * 4_001}")


def test_retrieved_examples_are_off_without_their_number() -> None:
    """And then the choice among them makes no other agent."""
    for told in ("", "retrieved: 0\n", "selector: random\n"):
        assert read_agent(LEAST + told).to_agent() == read_agent(LEAST).to_agent()
    on = read_agent(LEAST + "retrieved: 5\n").to_agent()
    assert (on.retrieved, on.selector) == (5, "tfidf")
    assert "selector: " in refusal(LEAST + "retrieved: 5\nselector: nearest")
    assert "retrieved: " in refusal(LEAST + "retrieved: 101")


def test_a_student_has_a_name_and_a_seed_only() -> None:
    student = read_agent("name: pupil\nprovider: student\nseed: 3\n").to_agent()
    assert (student.provider, student.seed, student.is_student) == ("student", 3, True)
    assert not read_agent(LEAST).to_agent().is_student
    told = refusal("name: pupil\nprovider: student\nmodel: m\ntemperature: 1\n")
    assert 'a student asks no model, and has no "model", "temperature": keep name, provider and seed' in told
    assert "provider: " in refusal(LEAST + "provider: teacher\n")
    assert "provider: " in refusal(LEAST + "provider: [student]\n")
    assert 'the key "name" is missing' in refusal("provider: student\n")


def test_everything_can_be_written() -> None:
    fields = read_agent(
        LEAST + "base_url: http://localhost:11434/v1/\nkey_variable: OTHER_KEY\ntemperature: 1\nseed: null\n"
        "max_tokens: 64\ncontext_tokens: 4096\nreasoning_effort: low\nconfidence: agreement\nsamples: 3\n"
        "sample_temperature: 0.5\nreasks: 0\nmax_options: 20\nrelations: false\nimage_side: 512\ndocument_pages: 2\n"
        "template_source: |\n  {{ shape }}\nexamples:\n- data: {text: good}\n  answer: {sentiment: positive}\n"
    )
    assert fields.template_source == "{{ shape }}\n"
    assert fields.to_agent() == Agent(
        name="careful",
        model="a-model",
        template="(inline)",
        base_url="http://localhost:11434/v1",
        key_variable="OTHER_KEY",
        temperature=1.0,
        seed=None,
        max_tokens=64,
        context_tokens=4096,
        reasoning_effort="low",
        confidence="agreement",
        samples=3,
        sample_temperature=0.5,
        reasks=0,
        max_options=20,
        relations=False,
        image_side=512,
        document_pages=2,
        examples=(Example(data={"text": "good"}, answer={"sentiment": "positive"}),),
    )


def test_a_typo_is_named_with_its_right_spelling() -> None:
    assert 'unknown key "temprature": did you mean "temperature"?' in refusal(LEAST + "temprature: 1")
    assert 'unknown key "Seed": did you mean "seed"?' in refusal(LEAST + "Seed: 1")
    assert refusal(LEAST + "xyzzy: 1").endswith('unknown key "xyzzy".')


def test_all_faults_are_in_one_message() -> None:
    told = refusal(
        "name: a b\nname: c\ntemprature: 1\nsamples: 99\nseed: x\nbase_url: ftp://h\nconfidence: sure\n"
        "examples:\n- data: {text: a}\n  anwser: {}\n"
    )
    for words in (
        'the key "name" stands there twice',
        'the key "model" is missing',
        'did you mean "temperature"?',
        "samples: ",
        "seed: ",
        "base_url: must be an http(s) URL",
        "confidence: ",
        'unknown key "examples.0.anwser": did you mean "answer"?',
    ):
        assert words in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("temperature: hot", "temperature: must be a number"),
        ("temperature: 3", "temperature: must be 2.0 or less"),
        ("max_tokens: many", "max_tokens: must be a whole number"),
        ("max_tokens: 2000000", "max_tokens: must be 1,000,000 or less"),
        ("seed: -1", "seed: must be 0 or more"),
        ("sample_temperature: 0", "sample_temperature: must be more than 0.0"),
        ("relations: maybe", "relations: must be true or false"),
        ("examples: 3", "examples: must be a list"),
        ("examples: [3]", "examples.0: must hold keys and values"),
        ("examples: [{data: {}, answer: {a: 1}}]", "examples.0.data: must have 1 entry or more"),
        (
            "confidence: magic",
            'confidence: must be "auto", "logprob", "agreement", "prompt_variants" or "self_reported"',
        ),
        ("template: ../x", "template: must be letters, digits, dots, hyphens and underscores, a letter or digit first"),
        ("template_source: 5", "template_source: must be text"),
    ],
)
def test_faults_are_told_in_plain_words(line: str, told: str) -> None:
    assert refusal(LEAST + line).endswith(f"is not right: {told}.")


def test_a_template_that_is_not_there_is_one_of_all_faults() -> None:
    def fault(name: str) -> str | None:
        return f"There is no prompt template {name!r}." if name == "nothing" else None

    with pytest.raises(InputError, match=r"seed: must be a whole number; template: There is no .* 'nothing'\.$"):
        read_agent(LEAST + "seed: x\ntemplate: nothing", template_fault=fault)
    with pytest.raises(InputError, match=r"is not right: template: There is no prompt template 'nothing'\.$"):
        read_agent(LEAST + "template: nothing", template_fault=fault)
    assert read_agent(LEAST + "template: default.v1", template_fault=fault).template == "default.v1"


def test_a_key_in_the_place_of_its_variable_is_not_shown() -> None:
    told = refusal(LEAST + "key_variable: sk-proj-123456\nbase_url: http://ann:pa55@h/v1")
    assert "must be the name of an environment variable that holds the key, never the key itself" in told
    assert "sk-proj" not in told
    assert "pa55" not in told


@pytest.mark.parametrize("name", ["LABEL_STUDIO_API_KEY", "DATABASE_URL", "PRELABEL_WEBHOOK_SECRET"])
def test_prelabels_own_secrets_are_sent_to_no_endpoint(name: str) -> None:
    assert "own settings" in refusal(LEAST + f"key_variable: {name}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- 1",
        "just words",
        "a: [",
        "[" * 5_000,
        "a: &x [1]\nb: *x",
        "!!python/object/apply:os.system [true]",
        "name: \x00",
        'name: "\\0"\nmodel: m',
        'name: n\nmodel: "\\ud800"',
        LEAST + "examples: [{data: {1: 2}, answer: {a: {2: 3}}}]",
        LEAST + "examples: [{data: {a: !!binary aGk=}, answer: {a: 1}}]",
        LEAST + "examples: [{data: {a: !!set {b}}, answer: {a: 1}}]",
        LEAST + "temperature: .nan",
        LEAST + "temperature: 1e999",
        LEAST + "seed: true",
        LEAST + "template: ../../etc/passwd",
        LEAST + "template: a\ntemplate_source: b",
        LEAST + "? [a, b]\n: c",
        "x" * (MAX_FILE_BYTES + 1),
    ],
)
def test_what_is_no_agent_is_one_sentence(text: str) -> None:
    told = refusal(text)
    assert told.startswith("The agent's file")
    assert len(told) < 600


def test_words_stay_words() -> None:
    """What YAML 1.1 takes for switches, dates and octal numbers are common labels and texts."""
    answer = "{a: yes, b: No, c: on, d: 2020-01-01, e: 010, f: 1_000, g: 12:30, h: ~, i: true, j: -1, k: 1.5, l: 1e3}"
    fields = read_agent(LEAST + f"examples: [{{data: {{t: x}}, answer: {answer}}}]")
    assert fields.examples[0].answer == {
        **{"a": "yes", "b": "No", "c": "on", "d": "2020-01-01", "e": "010", "f": "1_000", "g": "12:30"},
        **{"h": None, "i": True, "j": -1, "k": 1.5, "l": 1000.0},
    }


@given(st.text(max_size=200))
def test_whatever_is_written_is_an_agent_or_one_sentence(text: str) -> None:
    with suppress(InputError):
        assert read_agent(text).name


def test_the_documentation_tells_every_key(repository: Path) -> None:
    """Key, default and what it is for, as the schema has them."""

    def default(value: Any) -> str:
        return "" if value is None or value == [] else f"`{str(value).lower() if isinstance(value, bool) else value}`"

    row = re.compile(r"^\| `(?P<key>[a-z_.]+)` \| (?P<default>.*?) \| (?P<about>.*) \|$", re.M)
    text = (repository / "docs" / "agents.md").read_text()
    told = {found["key"]: (found["default"].strip(), found["about"]) for found in row.finditer(text)}
    expected = {
        name: ("needed" if field.is_required() else default(field.default), str(field.description))
        for name, field in AgentFields.model_fields.items()
    }
    expected |= {f"examples.{name}": ("needed", str(f.description)) for name, f in ExampleFields.model_fields.items()}
    assert told == expected


def test_the_documentations_agent_can_be_read(repository: Path) -> None:
    block = (repository / "docs" / "agents.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    assert read_agent(block).examples
