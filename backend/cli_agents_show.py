"""What `prelabel agents` prints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from backend.cli_show import line, out, print_json
from backend.core.values import Outcome, Request, Task, Usage
from backend.dialogue import Question
from backend.ports.prices import Price, cost_of
from backend.prompting.tokens import estimated_tokens

_MOST_IDS = 20
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def show_agents(agents: Sequence[Mapping[str, Any]]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("agent", "model", "endpoint", "template", "examples", ""):
        table.add_column(heading, overflow="fold")
    for agent in agents:
        state = "from settings" if agent["from_settings"] else "retired" if agent["retired_at"] else ""
        cells = (agent["agent"], agent["model"], agent["base_url"] or "", agent["template"], agent["examples"], state)
        table.add_row(*(Text(plain(str(cell))) for cell in cells))
    out.print(table)


def show_agent(told: Mapping[str, Any]) -> None:
    line(told["agent"] + (" (from settings)" if told["from_settings"] else ""))
    for name, value in told["parameters"].items():
        if name != "examples" and value is not None:
            line(f"  {name}: {plain(str(value))}")
    line(f"  template: {told['template']}")
    line(f"  examples: {told['examples']}")
    for made in told["project_versions"]:
        line(f"Project {made['project']}: version {made['version']}")
    line("Its template:")
    line(plain(told["template_source"]))


def show_added(told: Mapping[str, Any]) -> None:
    checked, name = told["checked"], told["agent"]
    line("Model endpoint: " + "; ".join(f"{key}: {value}" for key, value in checked["endpoint"].items()))
    for number, why in checked["examples_left_out"].items():
        line(f"Example {number} is not shown for this labeling config: {plain(why)}.")
    if checked["project"] is not None and told["provider"] is None:  # else there are no prompts
        _show_measured(checked)
    line(f"{name} is registered." if told["is_new"] else f"{name} was registered before, and is the newest again.")
    line(f"Next: prelabel agents test {name} --project {checked['project'] or 'N'}")


def _show_measured(checked: Mapping[str, Any]) -> None:
    measured, too_long = checked["prompts_measured"], checked["too_long_tasks"]
    of_all = f" of the project's {checked['tasks']:,} tasks" if checked["tasks"] > measured else " tasks"
    line(f"Prompts rendered and measured: {measured:,}{of_all}; {len(too_long):,} do not fit the model's window.")
    if too_long:
        ids = ", ".join(map(str, too_long[:_MOST_IDS])) + (", ..." if len(too_long) > _MOST_IDS else "")
        line(f"Too long, by an estimate: {ids} (all of them with --json)")
    if checked["with_images_or_documents"]:
        line(f"Not measured: {checked['with_images_or_documents']:,} tasks with images or PDFs.")


def show_preview(
    project_id: int, question: Question, found: Sequence[tuple[Task, Request | Outcome]], *, as_json: bool
) -> None:
    told = [{"task": task.id, **_request(asked)} for task, asked in found]
    if as_json:
        print_json({"project": project_id, "version": question.version, "requests": told})
        return
    for one in told:
        if one["request_key"] is None:
            line(f"Task {one['task']} is not asked: {plain(one['not_asked'])}")
            continue
        parameters = ", ".join(f"{name} {value}" for name, value in one["parameters"].items() if value is not None)
        line(f"Task {one['task']}, request {one['request_key']}")
        line(f"({plain(parameters)}; about {one['estimated_tokens']:,} tokens)")
        _show_examples(one)
        for message in one["messages"]:
            images = f" with {message['images']} images" if message["images"] else ""
            line(f"--- {message['role']}{images}")
            line(plain(message["content"]))


def _request(asked: Request | Outcome) -> dict[str, Any]:
    if isinstance(asked, Outcome):
        return {"request_key": None, "not_asked": asked.error}
    return {
        "request_key": asked.key,
        "messages": [{"role": m.role, "content": m.content, "images": len(m.images)} for m in asked.messages],
        "parameters": {
            "model": asked.model,
            "temperature": asked.temperature,
            "seed": asked.seed,
            "max_tokens": asked.max_tokens,
            "reasoning_effort": asked.reasoning_effort,
        },
        "schema": dict(asked.schema),
        "estimated_tokens": estimated_tokens(asked.messages),
        "examples": list(asked.examples),
    }


def show_trials(
    project_id: int,
    question: Question,
    outcomes: Sequence[tuple[Task, Outcome]],
    price: Price,
    *,
    as_json: bool,
) -> None:
    usage = sum((outcome.usage for _, outcome in outcomes), Usage())
    tried = [_trial(task, outcome, question.agent.model, price) for task, outcome in outcomes]
    cost = None if any(one["cost_usd"] is None for one in tried) else sum(one["cost_usd"] for one in tried)
    told = {
        "project": project_id,
        "version": question.version,
        "tasks": tried,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "model_calls": usage.calls,
        "replies_from_cache": usage.from_cache,
        "cost_usd": cost,
    }
    if as_json:
        print_json(told)
        return
    for one in tried:
        _show_trial(one)
    from_cache = f", {usage.from_cache:,} replies from the cache" if usage.from_cache else ""
    tokens = f"{usage.prompt_tokens:,} tokens in, {usage.completion_tokens:,} out, {usage.calls:,} calls{from_cache}"
    line(f"{len(tried)} tasks as {question.version}: {tokens}; cost {dollars(cost)}. Nothing was written.")


def _trial(task: Task, outcome: Outcome, model: str, price: Price) -> dict[str, Any]:
    return {
        "task": task.id,
        "state": outcome.state.value,
        "reply": outcome.reply_text,
        "labels": _labels(outcome),
        "result": [dict(region) for region in outcome.result],
        "score": outcome.score,
        "scores": {field.control: field.confidence for field in outcome.fields},
        "error": outcome.error,
        "notes": list(outcome.notes),
        "request_key": outcome.request_key,
        "examples": list(outcome.examples),
        "prompt_tokens": outcome.usage.prompt_tokens,
        "completion_tokens": outcome.usage.completion_tokens,
        "cost_usd": cost_of(outcome.usage, [outcome.model, model], price),
    }


def _show_examples(one: Mapping[str, Any]) -> None:
    if one["examples"]:
        line(f"  verified tasks as examples: {', '.join(map(str, one['examples']))}")


def _labels(outcome: Outcome) -> dict[str, list[str]]:
    """Control -> the answers of its regions in words, each after the passage that it is about."""
    found: dict[str, list[str]] = {}
    for region in outcome.result:
        value = region.get("value", {})
        given = value.get(region.get("type"), "")
        words = " / ".join(map(str, given)) if isinstance(given, list) else str(given)
        passage = value.get("text")
        told = f"{words}: {passage}" if isinstance(passage, str) and words else words
        found.setdefault(str(region.get("from_name")), []).append(told)
    return found


def _show_trial(one: Mapping[str, Any]) -> None:
    line(f"Task {one['task']}: {one['state']}, score {_score(one['score'])}, cost {dollars(one['cost_usd'])}")
    for control, score in one["scores"].items():
        given = ", ".join(one["labels"].get(control, ())) or "(nothing)"
        line(f"  {control}: {plain(given)} (score {_score(score)})")
    _show_examples(one)
    if one["error"]:
        line(f"  {plain(one['error'])}")
    if one["reply"]:
        line(f"  reply: {plain(one['reply'])}")


def _score(score: float | None) -> str:
    return "not known" if score is None else f"{score:.3f}"


def dollars(cost: float | None) -> str:
    return "not known" if cost is None else f"{cost:.6f} USD"


def plain(text: str) -> str:
    """Text from outside for a terminal: control characters, which could change it, are named."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
