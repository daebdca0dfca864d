"""What becomes of each control of many real labeling configs: `docs/controls.md` is made from it.

Run: python -m tests.config_table FOLDER > docs/controls.md, with the folder that PRELABEL_TEST_DATA names.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from backend.services.configs import ConfigFate, ControlFate, fate_of

_HEAD = """# Labeling configs: what is answered, what is refused

Made by `python -m tests.config_table FOLDER > docs/controls.md` from the folder that `PRELABEL_TEST_DATA` names; a test
compares. `prelabel config FILE.xml` says the same of your own config, `prelabel doctor --project N` of a project.

A refused control stays empty in Label Studio, and its reason is in `prelabel doctor` and `prelabel status` before a
token is spent; the other controls of the same config are answered.
"""


def page(folder: Path) -> str:
    """Everything as Markdown. `folder` holds label_configs/ with index.json."""
    known: list[dict[str, str]] = json.loads((folder / "label_configs" / "index.json").read_text(encoding="utf-8"))
    fates = {
        row["file"]: fate_of((folder / "label_configs" / row["file"]).read_text(encoding="utf-8"))
        for row in sorted(known, key=lambda row: row["file"])
    }
    builtin = {_title(name): fate for name, fate in fates.items() if name.startswith("builtin/")}
    official = {_title(name): fate for name, fate in fates.items() if name.startswith("official_repos/")}
    parts = [_HEAD, "## By tag\n", _by_tag([*builtin.values(), *official.values()])]
    parts += ["\n## The templates that Label Studio 1.23.2 ships\n", _configs(builtin)]
    parts += ["\n## Configs of Label Studio's own repositories: code, docs and tests\n", _configs(official)]
    return "\n".join(parts)


def _by_tag(fates: Sequence[ConfigFate]) -> str:
    controls = [control for fate in fates for control in fate.controls]
    answered = Counter(c.tag for c in controls if c.refused is None)
    refused = Counter(c.tag for c in controls if c.refused is not None)
    lines = ["| tag | answered | refused | most frequent reasons |", "|---|---|---|---|"]
    for tag in sorted({*answered, *refused}):
        reasons = Counter(_general(c) for c in controls if c.tag == tag and c.refused is not None)
        told = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
        lines.append(f"| `{_cell(tag)}` | {answered[tag]} | {refused[tag]} | {_cell(told)} |")
    return "\n".join(lines) + "\n"


def _general(control: ControlFate) -> str:
    """A reason without the names of one config."""
    parts = (control.refused or "").split('"')
    return '"..."'.join(parts[::2])


def _configs(fates: Mapping[str, ConfigFate]) -> str:
    lines = ["| config | answered | refused |", "|---|---|---|"]
    for name, fate in fates.items():
        answered = ", ".join(f"{c.tag} `{c.name}`" for c in fate.controls if c.refused is None)
        refused = "; ".join(f"{c.tag} `{c.name}` {c.refused}" for c in fate.controls if c.refused is not None)
        lines.append(f"| {_cell(name)} | {_cell(answered)} | {_cell(fate.error or refused)} |")
    return "\n".join(lines) + "\n"


def _title(file: str) -> str:
    """A file's name in words: what was a path is parted by two underscores."""
    return Path(file).stem.removesuffix("__config").replace("__", "/")


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


if __name__ == "__main__":
    sys.stdout.write(page(Path(sys.argv[1])))
