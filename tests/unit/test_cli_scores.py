"""`prelabel scores` and what `report` tells of scores, over an installation in memory."""

from __future__ import annotations

import json

import pytest

from backend.cli_scores import show_scores
from backend.services.calibrating import not_adopted
from tests.fakes.installation import Installation
from tests.unit.services.test_learning import Learner
from tests.unit.test_cli import Command, prelabel  # noqa: F401  - a fixture


@pytest.fixture
def site() -> Learner:
    return Learner()


@pytest.fixture
def installation(site: Learner) -> Installation:
    return site.installation


def test_which_score_is_used_what_was_tried_and_why(site: Learner, prelabel: Command) -> None:  # noqa: F811
    _, out, _ = prelabel("scores", "--project", site.project_id)
    assert "nothing was fitted yet" in out
    code, out, _ = prelabel("scores", "--project", site.project_id, "--refit")
    assert code == 0
    assert "0 verified tasks can be fitted on and 50 are needed: raw stays in use." in out

    site.verify(site.blind)
    code, out, err = prelabel("scores", "--project", site.project_id)
    assert (code, err) == (0, "")
    shown = site.installation.store.shown_version(site.project_id, site.installation.version(site.project_id))
    assert out.splitlines()[0] == shown
    assert "platt (used)" in out
    assert "platt replaces raw: its cross-validated log-loss" in out
    assert "batch calibration would make" in out
    assert "platt (used)" in prelabel("report", "--project", site.project_id)[1]

    told = json.loads(prelabel("scores", "--project", site.project_id, "--json")[1])
    assert told["in_use"] == {"sentiment": "platt"}
    assert told["last"]["controls"]["sentiment"]["figures"].keys() == {"raw", "platt"}


@pytest.mark.parametrize(
    ("mended", "spoiled", "audit", "told"),
    [
        (9, 1, 60, "`prelabel scores --calibrate` adopts it."),
        (3, 1, 60, "it is not applied."),
        (9, 1, 20, "it is not applied."),
    ],
)
def test_batch_calibration_is_proposed_by_the_rule_that_adopts_it(
    mended: int, spoiled: int, audit: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = {"mended": mended, "spoiled": spoiled, "audit": audit}
    assert (not_adopted(measured) is None) == ("adopts it" in told)
    batch = {**measured, "helps": True, "accuracy": [0.5, 0.6], "auroc": [None, None]}
    controls = {"mood": {"figures": {}, "why": "raw stays.", "batch": batch}}
    show_scores({"in_use": {}, "begun_at": None, "last": {"controls": controls}})
    assert " ".join(capsys.readouterr().out.split()).endswith(told)


def test_a_project_that_is_being_written_is_to_be_asked_again(
    site: Learner,
    prelabel: Command,  # noqa: F811
) -> None:
    with site.installation.queue.writer_lock(site.project_id):
        code, _, err = prelabel("scores", "--project", site.project_id, "--refit")
    assert code == 1
    assert "repeat this in a minute" in err


def test_a_project_that_is_not_known(prelabel: Command) -> None:  # noqa: F811
    code, _, err = prelabel("scores", "--project", 99)
    assert code == 1
    assert "prelabel connect" in err
