"""The Dockerfile and the compose file, checked without a Docker engine: parsed, and the Dockerfile's own steps run."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from backend.services.message_time import LONGEST_CHUNK_S
from backend.settings import Settings

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.integration


def instructions() -> list[tuple[str, str]]:
    """(instruction, argument) of the Dockerfile, continuation lines joined."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return loaded


def test_every_copied_file_exists_and_is_sent_to_the_builder() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split() if line.startswith("!")}
    sources = [source for word, rest in instructions() if word == "COPY" for source in shlex.split(rest)[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.removeprefix("./") in sent, source


def test_the_steps_of_the_dockerfile_give_a_working_program(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    app = tmp_path / "app"
    app.mkdir()
    for word, rest in instructions():
        if word == "COPY":
            *sources, target = shlex.split(rest)
            for source in sources:
                copy(ROOT / source, app / target / source if target.endswith("/") else app / target)
        elif word == "RUN" and rest.startswith("pip "):
            command = [str(tmp_path / "venv/bin/pip"), *shlex.split(rest)[1:], "--quiet"]
            subprocess.run(command, cwd=app, check=True, timeout=500)
    command_line = yaml.safe_load(next(rest for word, rest in instructions() if word == "CMD"))
    program = tmp_path / "venv/bin" / command_line[0]
    answer = subprocess.run([program, command_line[1], "--help"], capture_output=True, text=True, check=True)
    for option in (word for word in command_line if word.startswith("--")):
        assert option in answer.stdout
    versions = subprocess.run(
        [tmp_path / "venv/bin/pip", "list", "--format=freeze"], capture_output=True, text=True, check=True
    ).stdout.lower()
    assert "label-studio-ml==1.0.9" in versions
    assert re.search(r"^flask==3\.", versions, re.MULTILINE), "label-studio-ml has dragged an old Flask in"


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def test_label_studio_has_the_variables_that_let_it_reach_us() -> None:
    environment = compose()["services"]["label-studio"]["environment"]
    assert environment["ML_BLOCK_LOCAL_IP"] == "false"
    assert environment["SSRF_PROTECTION_ENABLED"] == "false"
    assert environment["fflag_fix_back_4620_memory_efficient_predictions_import_08012025_short"] == "true"


def test_redis_keeps_what_it_was_given() -> None:
    command = " ".join(compose()["services"]["redis"]["command"])
    assert "--appendonly yes" in command
    assert "noeviction" in command


def test_our_services_get_only_settings_that_exist() -> None:
    known = {field.alias for field in Settings.model_fields.values()}
    for name in ("prelabel", "worker"):
        service = compose()["services"][name]
        assert set(service["environment"]) <= known
        assert service["command"][0] == "prelabel"


def test_the_worker_can_be_scaled() -> None:
    worker = compose()["services"]["worker"]
    assert "container_name" not in worker
    assert "ports" not in worker


def test_there_are_two_workers_and_time_for_them_to_end() -> None:
    worker = compose()["services"]["worker"]
    assert worker["deploy"]["replicas"] == 2
    assert int(worker["stop_grace_period"].removesuffix("s")) > LONGEST_CHUNK_S


def test_what_answers_requests_has_a_health_check_that_runs_here() -> None:
    services = compose()["services"]
    assert {name for name, service in services.items() if "healthcheck" in service} == set(services) - {"worker"}
    _, program, option, code = services["prelabel"]["healthcheck"]["test"]
    assert (program, option) == ("python", "-c")
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = code.replace("9090", str(server.getsockname()[1]))
        assert subprocess.run([sys.executable, "-c", there], check=False).returncode == 0
    assert subprocess.run([sys.executable, "-c", there], check=False, stderr=subprocess.DEVNULL).returncode == 1


def test_every_dependency_and_volume_is_defined() -> None:
    file = compose()
    for service in file["services"].values():
        assert set(service.get("depends_on", {})) <= set(file["services"])
        named = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert named <= set(file["volumes"])
        assert {config["source"] for config in service.get("configs", [])} <= set(file["configs"])


def test_every_variable_without_a_default_is_in_the_example() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    needed = set(re.findall(r"\$\{(\w+):\?", text))
    given = set(re.findall(r"^(?:# )?(\w+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert needed
    assert needed <= given
