"""The version under which an agent answers a labeling config: one function for every place that names it. Pure."""

from __future__ import annotations

from backend.core.values import Agent, version_of
from backend.labeling.config import LabelingConfig
from backend.labeling.following import every
from backend.prompting.shortlist import FEWEST


def version_for(agent: Agent, config: LabelingConfig, template_source: str, instructions: str) -> str:
    """Agent name and eight hex digits over everything that can change an answer to a task of this config."""
    return version_of(
        agent,
        template_source=template_source,
        config_fingerprint=config.fingerprint,
        instructions=instructions,
        with_images=any(o.tag == "Image" for o in config.objects),
        with_documents=any(o.tag == "Pdf" for o in config.objects),
        with_relations=config.relations is not None,
        with_long_lists=any(
            not c.needs_all_options and (c.options_variable or len(c.options) > FEWEST) for c in every(config.controls)
        ),
    )
