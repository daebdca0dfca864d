"""`prelabel certify --project` as it is typed."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from backend import cli_certify
from backend.cli_certify_reason import reason
from backend.confidence.certificate import Refusal, fewest_labels
from backend.services.certifying import Certifying
from tests.unit.conftest import Run
from tests.unit.services.test_certifying import scored
from tests.unit.services.test_report import Site

LOOSE = ("--max-error", "0.25")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    site = scored()
    installation = site.installation
    parts = SimpleNamespace(
        need_key=lambda: None,
        store=installation.store,
        verifier=installation.verifier,
        certifying=Certifying(store=installation.store, labels=installation.labels),
    )
    monkeypatch.setattr(cli_certify, "open_parts", lambda: parts)
    return site


def test_an_audit_that_waits_is_told_with_its_numbers(prelabel: Run, site: Site) -> None:
    code, out, _ = prelabel("certify", "-p", str(site.project_id), "--max-error", "0.1")
    waiting, takes = len(site.blind), fewest_labels(1, 0.1)
    assert code == 1
    assert f"none of the {waiting} tasks of the random audit is annotated yet, and it takes {takes} that are." in out
    assert f"Annotate the {waiting} that wait (`prelabel audit show --project {site.project_id}`" in out
    more = takes - waiting
    assert f"draw {more} more: `prelabel audit begin --project {site.project_id} -n {more}`." in out


def test_more_than_there_are_tasks_is_not_drawn(prelabel: Run, site: Site) -> None:
    _, out, _ = prelabel("certify", "-p", str(site.project_id))
    assert "it takes 72 that are. And only 60 answered tasks are left that nobody has labelled" in out
    assert "audit begin" not in out


def test_to_accept_twice_is_told_clearly(prelabel: Run, site: Site) -> None:
    project = str(site.project_id)
    site.annotate(site.blind)
    code, out, _ = prelabel("certify", "-p", project, *LOOSE)
    assert code == 0
    look = "This is the 1st look at this audit: held at 97.5 %, so that all looks together keep 95 %."
    assert look in out
    assert f"`prelabel certify --project {project} {' '.join(LOOSE)} --accept` makes annotations of" in out
    _, out, _ = prelabel("certify", "-p", project, *LOOSE, "--accept")
    assert look in out
    accepted = int(out.splitlines()[-1].split()[0])
    assert accepted > 0
    assert f"{accepted} predictions are annotations now; `prelabel certify --project {project} --undo`" in out
    code, out, _ = prelabel("certify", "-p", project, *LOOSE, "--accept")
    assert code == 0
    assert out.splitlines()[-1].startswith(
        f"Nothing new to accept: all {accepted} that may be accepted are annotations already;"
    )
    code, out, err = prelabel("certify", "-p", project, "--undo", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["undone"] == accepted


def test_what_label_studio_has_no_prediction_of_is_not_told_as_accepted(prelabel: Run, site: Site) -> None:
    project, predictions = str(site.project_id), site.installation.labels.projects[site.project_id].predictions
    site.annotate(site.blind)
    may_be = int(json.loads(prelabel("certify", "-p", project, *LOOSE, "--json")[1])["accepted"])
    lost = {task_id for task_id in site.task_ids if task_id not in site.blind}
    for number in [number for number, one in predictions.items() if one.task_id in lost][:7]:
        del predictions[number]
    _, out, _ = prelabel("certify", "-p", project, *LOOSE, "--accept")
    made = len(site.installation.labels.annotations) - len(site.blind)
    assert 0 < made < may_be
    assert out.splitlines()[-1].startswith(f"{made} predictions are annotations now;")
    assert out.endswith(
        f"Of {may_be - made} more Label Studio has no prediction to accept: repeat this once all are written.\n"
    )
    assert json.loads(prelabel("certify", "-p", project, *LOOSE, "--accept", "--json")[1])["accepted_now"] == 0


def test_what_is_undone_is_told_on_the_way_and_goes_on_where_it_was(site: Site) -> None:
    site.annotate(site.blind)
    certifying = cli_certify.open_parts().certifying
    found = certifying.verdict(site.project_id, max_error=0.25, confidence=0.95, error_of=cli_certify.ErrorOf.ALL)
    certifying.accept(site.project_id, found)
    site.installation.verifier.catch_up(site.project_id)
    told: list[tuple[int, int]] = []

    def stop(done: int, of: int) -> None:
        told.append((done, of))
        if done:
            raise KeyboardInterrupt

    count = len(found.accepted)
    assert count > 20
    with pytest.raises(KeyboardInterrupt):
        certifying.undo(site.project_id, done=stop)
    assert told == [(0, count), (20, count)]
    assert certifying.undo(site.project_id) == count - 20


def test_what_is_missing_and_nobody_waits_for_is_to_be_drawn() -> None:
    refusal = Refusal(why="too few labels", tasks=500, audited=50, errors=0, at_least=9, for_half=9, unseen=450)
    assert reason(refusal, 7).endswith(" Draw them: `prelabel audit begin --project 7 -n 9`.")
    assert "prelabel audit" not in reason(refusal)
    none = Refusal(why="no audit", tasks=500, audited=0, errors=0, at_least=59, unseen=500)
    assert "there is no random audit" in reason(none, 7)
    assert reason(none, 7).endswith(" Draw them: `prelabel audit begin --project 7 -n 59`.")


@pytest.mark.parametrize(
    ("unseen", "words"), [(40, "only 40 answered tasks are left"), (0, "no answered task is left")]
)
def test_no_more_is_drawn_than_there_is(unseen: int, words: str) -> None:
    for why, audited in (("no audit", 0), ("too few labels", 12)):
        refusal = Refusal(why=why, tasks=52, audited=audited, errors=0, at_least=59, unseen=unseen)  # type: ignore[arg-type]
        assert words in reason(refusal, 7)
        assert "audit begin" not in reason(refusal, 7)


def test_a_version_that_has_not_answered_the_audit_is_not_told_to_draw_another_one() -> None:
    refusal = Refusal(why="no audit", tasks=0, audited=0, errors=0, at_least=59, unanswered=12)
    assert "has answered no task yet. Answer them first: `prelabel run --project 7 --wait`" in reason(refusal, 7)
    part = Refusal(why="too few labels", tasks=500, audited=10, errors=0, at_least=62, unanswered=70, unseen=490)
    for one, count in ((replace(refusal, tasks=500, unseen=500), 12), (part, 70)):
        assert f"{count} are annotated and not answered by the current version yet" in reason(one, 7)
        assert "`prelabel run --project 7 --wait`" in reason(one, 7)
        assert "audit begin" not in reason(one, 7)


def test_where_all_that_was_drawn_saw_a_prediction_more_is_drawn() -> None:
    refusal = Refusal(why="no audit", tasks=500, audited=0, errors=0, at_least=59, unanswered=0, unseen=400)
    assert reason(refusal, 7).startswith("no task of the random audit counts")
    assert reason(refusal, 7).endswith("`prelabel audit begin --project 7 -n 59`.")


def test_why_it_takes_more_than_a_first_certificate_is_said() -> None:
    refusal = Refusal(
        why="too few labels", tasks=500, audited=90, errors=1, at_least=50, for_half=60, next_look=8, unseen=410
    )
    assert "It takes 50 more at least (reckoned so because it will be look 8 at this audit" in reason(refusal, 7)
    fitted = reason(replace(refusal, cross_fitted=True), 7)
    assert "because the scores are fitted on the audit too and it will be look 8" in fitted
    assert "reckoned" not in reason(replace(refusal, next_look=1), 7)


def test_to_accept_and_to_undo_at_once_is_refused(prelabel: Run, site: Site) -> None:
    code, out, err = prelabel("certify", "-p", str(site.project_id), "--accept", "--undo")
    assert code == 1
    assert "give one of them" in out + err


def test_a_share_in_per_cent_is_told_as_it_must_be_given(prelabel: Run) -> None:
    code, _, err = prelabel("certify", "-p", "1", "--confidence", "95")
    assert code == 2
    assert "'95' is not a number between 0 and 1: for 95 % give 0.95" in err
