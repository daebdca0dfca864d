"""`prelabel agents`: register agents, look at them, try them, and choose one for a project."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.agent_file import MAX_FILE_BYTES, AgentFields, read_agent
from backend.cli_agents_compare import compare_command
from backend.cli_agents_improve import improve_command
from backend.cli_agents_show import (
    show_added,
    show_agent,
    show_agents,
    show_preview,
    show_trials,
)
from backend.cli_common import PROJECT_HELP, JsonOption, ProjectOption, number, open_parts
from backend.cli_show import line, print_json
from backend.core.agents import AgentVersion, parameters_of
from backend.core.errors import InputError, TemplateError
from backend.ports.agents import RegisteredAgent
from backend.wiring import Parts

agents_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

agents_app.command("compare", short_help="Measure two agents on verified tasks.")(compare_command)
agents_app.command("improve", short_help="Let a model write a better instruction.")(improve_command)

NameArgument = Annotated[str, typer.Argument(help="NAME or NAME@HASH.", metavar="NAME")]


@agents_app.command("list", short_help="All agents, the one of the settings first.")
def list_command(as_json: JsonOption = False) -> None:
    """All agents, the one of the settings first; of each name the newest version first."""
    parts = open_parts()
    agents = [_of_settings(parts), *(_in_short(agent) for agent in parts.store.agents())]
    if as_json:
        print_json({"agents": agents})
    else:
        show_agents(agents)


@agents_app.command("show", short_help="All of one agent.")
def show_command(name: NameArgument, as_json: JsonOption = False) -> None:
    """All of one agent: parameters, template, examples, and the versions of projects that it makes."""
    parts = open_parts()
    version = parts.projects.agents.find(name)
    made = parts.store.project_versions(agent=version.reference)
    told = {
        **_version_in_short(version),
        "from_settings": version == parts.projects.agents.default,
        "parameters": _parameters(version),
        "template_source": version.template_source,
        "project_versions": [{"project": m.project_id, "version": m.version} for m in made],
    }
    if as_json:
        print_json(told)
    else:
        show_agent(told)


@agents_app.command("add", short_help="Check an agent, and register it.")
def add_command(
    file: Annotated[Path, typer.Argument(help="A YAML file (docs/agents.md).", metavar="FILE")],
    project: Annotated[
        int | None,
        typer.Option(
            "--project", "-p", help=f"Render its prompts for this project. {PROJECT_HELP}", metavar="N", parser=number
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check an agent (its file, its template, its prompts, its key and model with one tiny call), and register it.

    An agent with a name that is there already is a new version of that name.
    """
    text, parts = _text(file), open_parts()
    fields = read_agent(text, template_fault=partial(_template_fault, parts))
    version = _version(parts, fields)
    parts.projects.agents.need_free(version.agent.name)
    checked = parts.agent_checks.check(version, project)
    is_new = parts.store.add_agent(version)
    told = {**_version_in_short(version), "is_new": is_new, "checked": checked.as_json()}
    if as_json:
        print_json(told)
    else:
        show_added(told)


@agents_app.command("preview", short_help="Print the exact messages for tasks.")
def preview_command(
    name: NameArgument,
    project: ProjectOption,
    task: Annotated[
        list[int] | None,
        typer.Option(help="This task; may be given several times. Without: the first one.", metavar="ID"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the exact messages that the agent would send for tasks, with the hash of each request. Asks nothing of the
    model, except once whether it sees images, where a task has some, and vectors, where examples are chosen by them."""
    parts = open_parts()
    question = parts.trials.question(project, name)
    tasks = parts.trials.tasks(project, question, ids=task or (), most=None if task else 1)
    show_preview(project, question, parts.trials.preview(question, tasks), as_json=as_json)


@agents_app.command("test", short_help="Ask about a few tasks; write nothing.")
def try_command(
    name: NameArgument,
    project: ProjectOption,
    count: Annotated[int, typer.Option("-n", help="So many tasks, the first ones.", min=1, max=1000)] = 5,
    as_json: JsonOption = False,
) -> None:
    """Let the agent annotate a few tasks, and print replies, labels, scores, tokens and cost. Nothing is written to
    Label Studio or to the records of tasks; stored replies are used, and new ones stored."""
    parts = open_parts()
    question = parts.trials.question(project, name)
    outcomes = parts.trials.test(question, parts.trials.tasks(project, question, most=count))
    price = partial(parts.endpoints.cost, agent=question.agent)
    show_trials(project, question, outcomes, price, as_json=as_json)


@agents_app.command("use", short_help="Make an agent a project's own.")
def use_command(name: NameArgument, project: ProjectOption, as_json: JsonOption = False) -> None:
    """Make an agent the project's own, there and in Label Studio: this very version, until the next `use`. The agent
    that Label Studio's extra params name goes before it."""
    parts = open_parts()
    row = parts.use_agent(project, name)
    agent = parts.projects.agents.of(row)
    told = {
        "project": project,
        "agent": agent.reference,
        "version": row.version,
        "by_extra_params": row.extra_agent is not None,
        "problem": row.agent_problem,
    }
    if as_json:
        print_json(told)
        return
    if row.extra_agent is not None:
        line(f"Noted. Label Studio's extra params name {agent.reference}, which goes before it: remove it there.")
        return
    if row.version is None:
        line(f"Project {project} has {agent.reference}; nothing in its labeling config can be pre-annotated.")
        return
    line(f"Project {project} is annotated by {agent.reference}: version {row.version}.")
    line(f"Next: prelabel run --project {project} --wait")


@agents_app.command("retire", short_help="Offer an agent no longer.")
def retire_command(name: NameArgument, as_json: JsonOption = False) -> None:
    """Let NAME, all its versions, or NAME@HASH no longer be found by its name alone. Projects that have it keep it."""
    retired = open_parts().projects.agents.retire(name)
    if as_json:
        print_json({"agent": name, "retired": retired})
    else:
        line(f"{name} is retired: {retired} version{'' if retired == 1 else 's'}. NAME@HASH still finds them.")


def _template_fault(parts: Parts, name: str) -> str | None:
    try:
        parts.template(name)
    except TemplateError as error:
        return str(error)
    return None


def _version(parts: Parts, fields: AgentFields) -> AgentVersion:
    source = fields.template_source
    return AgentVersion.of(fields.to_agent(), source if source is not None else parts.template(fields.template))


def _parameters(version: AgentVersion) -> dict[str, Any]:
    """Of a student those that it has."""
    found = parameters_of(version.agent)
    return {name: found[name] for name in ("provider", "seed")} if version.agent.is_student else found


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_FILE_BYTES + 1).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text, or longer than {MAX_FILE_BYTES:,} bytes: mend it.") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}): check the path.") from None


def _version_in_short(version: AgentVersion) -> dict[str, Any]:
    agent = version.agent
    return {
        "agent": version.reference,
        "provider": agent.provider,
        "model": agent.model,
        "base_url": agent.base_url,
        "template": agent.template,
        "examples": len(agent.examples),
    }


def _of_settings(parts: Parts) -> dict[str, Any]:
    short = _version_in_short(parts.projects.agents.default)
    return {**short, "from_settings": True, "added_at": None, "retired_at": None}


def _in_short(agent: RegisteredAgent) -> dict[str, Any]:
    return {
        **_version_in_short(agent.version),
        "from_settings": False,
        "added_at": agent.added_at.isoformat(),
        "retired_at": agent.retired_at.isoformat() if agent.retired_at else None,
    }
