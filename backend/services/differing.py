"""Where two agents answered differently: compared from their stored answers, not from Label Studio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from backend.core.errors import InputError
from backend.core.values import JSON, canonical_hash
from backend.ports.store import Store


def resolved_version(store: Store, project_id: int, name: str) -> str:
    """A version string as it is, or an agent's newest version that answered in the project. Raises `InputError`."""
    known = store.answered_versions(project_id)
    found = [v for v in known if v == name] or [v for v in known if v.rpartition("@")[0] == name]
    if not found:
        told = ", ".join(known[:8]) or "none yet"
        raise InputError(f"{name!r} has no stored answers in project {project_id}: answered have {told}.")
    return found[0]


def differing_task_ids(store: Store, project_id: int, first: str, second: str) -> Iterator[int]:
    """Tasks that both versions answered from the same data, and not the same way. Ascending."""
    for task_id, one, other in store.answer_pairs(project_id, first, second):
        if not same_answer(one, other):
            yield task_id


def same_answer(one: Sequence[Mapping[str, JSON]], other: Sequence[Mapping[str, JSON]]) -> bool:
    """Whether two results say the same: labels in whatever order, spans and boxes exactly, scores not at all."""
    return _said(one) == _said(other)


def _said(result: Sequence[Mapping[str, JSON]]) -> list[str]:
    """What each region says, without its id and score; a relation names the regions by what they say."""
    by_id: dict[str, list[str]] = {}
    for region in result:
        if "id" in region:
            by_id.setdefault(str(region["id"]), []).append(_region(region))
    ends = {region_id: sorted(said) for region_id, said in by_id.items()}
    said = [_region(region) for region in result if region.get("type") != "relation"]
    for region in result:
        if region.get("type") == "relation":
            between = [ends.get(str(region.get(key))) for key in ("from_id", "to_id")]
            said.append(
                canonical_hash(
                    ["relation", between, region.get("direction"), sorted(map(str, region.get("labels") or ()))]
                )
            )
    return sorted(said)


def _region(region: Mapping[str, JSON]) -> str:
    value = region.get("value")
    plain = {key: _unordered(key, one) for key, one in value.items()} if isinstance(value, Mapping) else value
    return canonical_hash([region.get("from_name"), region.get("to_name"), region.get("type"), plain])


def _unordered(key: str, value: JSON) -> JSON:
    """Labels in one order; the order of anything else, a ranking for one, says something."""
    if isinstance(value, list) and (key in ("choices", "taxonomy") or key.endswith("labels")):
        return sorted(value, key=canonical_hash)
    return value
