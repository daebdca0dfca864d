"""The simulations are the same each time, and their limits are those of chance."""

from __future__ import annotations

import random
from argparse import Namespace

from backend.confidence.intervals import at_most
from backend.learning.golden import exam
from scripts.benchmarks import certificate, panels


def test_projects_come_from_the_seed_and_are_as_said() -> None:
    made = [certificate.simulated(random.Random(seed)) for seed in (1, 1, *range(2, 30))]
    assert made[0] == made[1] != made[2]
    assert {project.kind for project in made} == set(certificate.KINDS)
    for project in made:
        assert 500 <= len(project.scores) == len(project.right) <= 5000
        assert 50 <= project.audit <= 300
        assert abs(sum(project.right) / len(project.right) - project.accuracy) < 0.1


def test_so_many_broken_promises_are_not_chance() -> None:
    most = certificate.too_many(500)
    assert 1 - at_most(most - 1, 500, 0.05) < 0.05 <= 1 - at_most(most - 2, 500, 0.05)


def test_a_few_projects_hold_every_limit() -> None:
    report = certificate.run(Namespace(projects=12, seed=1))
    assert report.holds, report.table()


def test_annotators_as_they_are_simulated() -> None:
    chance, marks = random.Random(1), exam(30, 8)
    accepting, _ = panels.ANNOTATORS["accepts everything"]
    sat = panels.sit(accepting, marks, 8, chance)
    assert sat.verdict == "fail"
    assert 2 <= sat.after <= 24  # the second trap that is missed
    assert panels.run(Namespace(panels=60, seed=1)).holds
