"""`prelabel verifications` over an installation in memory."""

from __future__ import annotations

import json

from tests.fakes.installation import Installation
from tests.unit.test_cli import Command, installation, prelabel  # noqa: F401  - fixtures


def test_what_people_did_is_read_and_counted(installation: Installation, prelabel: Command) -> None:  # noqa: F811
    project, ids = installation.project("good", "bad", "good too")
    installation.run(project)
    region = {"id": "a", "from_name": "sentiment", "to_name": "text", "type": "choices"}
    for task_id in ids:
        installation.labels.annotate(task_id, [{**region, "value": {"choices": ["positive"]}}])
    code, out, err = prelabel("verifications", "--project", project)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"Project {project}: 3 tasks read, 3 changed, 0 deleted."
    assert "2 confirmed, 1 corrected" in out
    installation.labels.edit_task(project, ids[0], {"text": "other"})
    installation.labels.delete_annotation(next(iter(installation.labels.annotations)) + 1)
    told = json.loads(prelabel("verifications", "--project", project, "--json")[1])
    assert told["read"] == {"tasks": 3, "changed": 1, "deleted": 1}
    assert (told["verified_tasks"], told["stale"], told["unfit"], told["deleted"]) == (1, 1, 0, 1)
    assert told["outcomes"] == {"confirmed": 2}
    assert told["read_at"] == installation.clock.now.isoformat()
    _, out, _ = prelabel("verifications", "--project", project, "--all")
    assert "1 of them stale" in out
    assert "1 deleted since" in out


def test_a_project_that_is_not_known(prelabel: Command) -> None:  # noqa: F811
    code, _, err = prelabel("verifications", "--project", 99)
    assert code == 1
    assert "check --project, or connect it with `prelabel connect" in err
