"""The operator's guide names every metric, and the alert rules no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from backend import cli
from backend.adapters.metrics import GAUGES, metric_names
from backend.ports.meters import COUNTERS, HISTOGRAMS
from backend.settings import Settings

METRIC = re.compile(r"\bprelabel_[a-z_]+[a-z]\b")
ROW = re.compile(r"^\| `(?P<name>prelabel_[a-z_]+)` \| (?P<labels>.*?) \| (?P<about>.*) \|$", re.M)


@pytest.fixture
def guide(repository: Path) -> str:
    return (repository / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.fixture
def rules(repository: Path) -> list[dict[str, Any]]:
    text = (repository / "docs" / "alerts.yml").read_text(encoding="utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def in_the_code() -> Iterator[tuple[str, tuple[str, str]]]:
    for name, (about, labels) in GAUGES.items():
        yield f"prelabel_{name}", (", ".join(labels), about)
    for counter in COUNTERS:
        yield f"prelabel_{counter.name}_total", (", ".join(counter.labels), counter.about)
    for histogram in HISTOGRAMS:
        yield f"prelabel_{histogram.name}", (", ".join(histogram.labels), f"{histogram.about} (a histogram)")


def test_the_table_of_metrics_is_the_code_s(guide: str) -> None:
    told = {row["name"]: (row["labels"].strip(), row["about"]) for row in ROW.finditer(guide)}
    assert told == dict(in_the_code())


def test_every_metric_that_is_named_anywhere_exists(guide: str, rules: list[dict[str, Any]]) -> None:
    known = metric_names() | {name for name, _ in in_the_code()}
    named = {name for text in [guide, *(rule["expr"] for rule in rules)] for name in METRIC.findall(text)}
    assert len(named) > 20
    assert named <= known


def test_the_rules_are_as_prometheus_reads_them(rules: list[dict[str, Any]]) -> None:
    assert len({rule["alert"] for rule in rules}) == len(rules) > 10
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert METRIC.search(rule["expr"]), rule["alert"]
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        assert rule["labels"]["severity"] in ("page", "warn")
        assert rule["annotations"]["summary"]


def test_the_rules_ask_only_for_labels_that_the_metric_has(rules: list[dict[str, Any]]) -> None:
    labels = {name: set(told[0].split(", ")) for name, told in in_the_code()}
    checked = 0
    for rule in rules:
        for name, wanted in re.findall(r"(prelabel_[a-z_]+)\{([^}]*)\}", rule["expr"]):
            assert set(re.findall(r"(\w+)=", wanted)) <= labels[name], rule["alert"]
            checked += 1
    assert checked >= 8


def test_each_alarm_is_explained(guide: str, rules: list[dict[str, Any]]) -> None:
    explained = re.findall(r"^\| `(Prelabel\w+)` \|", guide, re.M)
    assert explained == [rule["alert"] for rule in rules]


def test_events_that_the_guide_names_are_logged(guide: str, repository: Path) -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (repository / "backend").rglob("*.py"))
    named = re.findall(r"event `([^`]+)`", guide)
    assert len(named) >= 6
    assert [event for event in named if f'"{event}"' not in source] == []


def test_settings_and_commands_that_the_guide_names_exist(guide: str) -> None:
    settings = {str(field.alias) for field in Settings.model_fields.values()}
    assert set(re.findall(r"\bPRELABEL_[A-Z_]+\b", guide)) <= settings
    commands = {command.name or str(command.callback and command.callback.__name__) for command in
                cli.app.registered_commands} | {"jobs", "agents"}  # fmt: skip
    named = set(re.findall(r"`prelabel ([a-z]+)", guide))
    assert {"doctor", "worker", "serve", "status", "run"} <= named <= commands
