"""A better instruction with the real Label Studio: written by one endpoint, measured at another, and kept out where it
does not win.

The scripted model does not look at instructions, so that nothing that is written makes it better.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.configs import FEEDBACK, FEEDBACK_ROWS
from tests.e2e.stack import Stack, eventually
from tests.e2e.test_verifications import People
from tests.fakes.scripted_model import ScriptedModel

RULE = "Who waits is not pleased."
ROWS = [{"text": f"{FEEDBACK_ROWS[n % 4]['text']} ({n})"} for n in range(80)]


def test_a_proposal_is_measured_and_kept_out(stack: Stack, tmp_path: Path) -> None:
    project = stack.project("Improve", FEEDBACK, ROWS)
    stack.connect(project)
    assert stack.run(project)["by_state"] == {"done": len(ROWS)}
    people = People(project)
    for number, task_id in enumerate(people.tasks):
        if number % 2:
            people.correct(task_id)
        else:
            people.confirm(task_id)

    def verified() -> bool:
        return bool(stack.answer("verifications", "--project", project.id)["verified_tasks"] == len(ROWS))

    eventually(verified, "all tasks are verified")
    with ScriptedModel(model="writer", text=json.dumps({"guidance": f"- {RULE}"})) as writer:
        file = tmp_path / "writer.yaml"
        file.write_text(f"name: writer\nmodel: writer\nbase_url: {writer.base_url}\n")
        stack.answer("agents", "add", file)
        arguments = ("agents", "improve", "default", "--project", project.id, "--with", "writer")
        refused = stack.prelabel(*arguments)
        assert (refused.code, "say --yes" in refused.err) == (1, True)
        asked = writer.counts()["calls"]
        planned = stack.answer(*arguments, "--dry-run")
        assert writer.counts()["calls"] == asked
        found = stack.answer(*arguments, "--yes")
        (request,) = [r for r in writer.requests if "guidance" in json.dumps(r.get("response_format"))]
    assert (found["outcome"], found["registered"], found["guidance"]) == ("kept", None, RULE)
    assert found["measured"]["old"]["tasks"] == found["measured"]["new"]["tasks"] == len(planned["held_out_tasks"])
    assert found["measured"]["gain"] == 0
    shown = request["messages"][-1]["content"]
    texts = {i: project.open_task(i)["data"]["text"] for i in people.tasks}
    assert {i for i, text in texts.items() if text in shown} == set(found["shown_tasks"])
    assert not set(found["shown_tasks"]) & set(planned["held_out_tasks"])
    assert all(people.tasks.index(i) % 2 for i in found["shown_tasks"])
    assert not [a for a in stack.answer("agents", "list")["agents"] if "improved" in a["agent"]]
