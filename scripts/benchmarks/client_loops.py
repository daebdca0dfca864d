"""The openai client and nothing else: what a benchmark compares the product with.

`python -m scripts.benchmarks.client_loops bare|sequential BASE_URL TASKS IN_FLIGHT` prints JSON. The messages and
parameters are those that the product sends, made before the clock starts. "bare" keeps IN_FLIGHT calls of the
asynchronous client going; "sequential" asks one row after the other, as label-studio-ml-backend's LLM example does.
Both throw the answers away.
"""

import asyncio
import json
import sys
import time
from typing import Any

import openai

from backend.adapters.openai_model import parameters
from backend.adapters.templates import read_template
from backend.core.values import Agent, Task
from backend.dialogue import Question, annotate
from backend.labeling.parsing import parse_config
from backend.ports.model import Capabilities
from backend.settings import Settings
from scripts.demo_project import CONFIG
from tests.fakes.recording_sink import PROJECT, task_text


def question() -> Question:
    """What the product asks with the settings of these benchmarks."""
    defaults = Settings()
    agent = Agent(name="default", model="scripted", template=defaults.template)
    source = read_template(defaults.prompts_dir, defaults.template)
    config = parse_config(CONFIG)
    return Question(config=config, agent=agent, template_source=source, instructions="", version="default@bench")


def calls(tasks: int) -> list[dict[str, Any]]:
    """The arguments of each call."""
    asked, found = question(), Capabilities(structured="json_schema", logprobs=20)
    rows = (Task(id=n, project_id=PROJECT, data={"text": task_text(n)}) for n in range(1, tasks + 1))
    return [parameters(next(annotate(asked, task)), found) for task in rows]


async def bare(base_url: str, todo: list[dict[str, Any]], in_flight: int) -> float:
    """Seconds."""
    async with openai.AsyncOpenAI(base_url=base_url, api_key="scripted", max_retries=0) as client:
        waiting = iter(todo)

        async def ask() -> None:
            for call in waiting:
                await client.chat.completions.create(**call)

        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(ask())
        return time.monotonic() - started


def sequential(base_url: str, todo: list[dict[str, Any]]) -> float:
    """Seconds."""
    with openai.OpenAI(base_url=base_url, api_key="scripted", max_retries=0) as client:
        started = time.monotonic()
        for call in todo:
            client.chat.completions.create(**call)
        return time.monotonic() - started


def main(kind: str, base_url: str, tasks: int, in_flight: int) -> None:
    todo = calls(tasks)
    before = time.process_time()
    seconds = asyncio.run(bare(base_url, todo, in_flight)) if kind == "bare" else sequential(base_url, todo)
    print(json.dumps({"rate": tasks / seconds, "cpu_s": time.process_time() - before}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
