"""Long lists of options, shortened."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.values import Picture
from backend.labeling.config import LabelingConfig
from backend.labeling.controls.taxonomy import SEPARATOR, Taxonomy
from backend.labeling.parsing import parse_config
from backend.labeling.schema import MAX_ENUM_VALUES
from backend.prompting.shortlist import FEWEST, Shortlist, compared_text, shortlist


def listing(tag: str, child: str, count: int, *, name: str = "intent", extra: str = "") -> str:
    options = "".join(f'<{child} value="option {n}"/>' for n in range(count))
    return f'<{tag} name="{name}" toName="text"{extra}>{options}</{tag}>'


def config_of(*controls: str) -> LabelingConfig:
    return parse_config(f'<View><Text name="text" value="$text"/>{"".join(controls)}</View>')


def last_first(query: str, options: Sequence[str]) -> Sequence[int]:
    """A ranking that turns every list around."""
    return range(len(options))[::-1]


def lists_of(config: LabelingConfig, *, most: int, text: str = "Where is my card?") -> Shortlist:
    return shortlist(config, config.show({"text": text}), last_first, most=most)


def asked_names(lists: Shortlist) -> list[list[str]]:
    return [[o.name for o in c.options] for c in lists.asked.controls]


def size(config: LabelingConfig) -> int:
    return sum(len(c.options) for c in config.controls)


@pytest.mark.parametrize(
    ("tag", "child", "extra"),
    [
        ("Choices", "Choice", ""),
        ("Choices", "Choice", ' choice="multiple"'),
        ("Labels", "Label", ' maxUsages="2"'),
        ("Taxonomy", "Choice", ""),
    ],
)
def test_the_most_similar_are_asked_in_the_configs_order(tag: str, child: str, extra: str) -> None:
    lists = lists_of(config_of(listing(tag, child, 77, extra=extra)), most=10)
    wanted = [f"option {n}" for n in range(67, 77)]
    assert asked_names(lists) == [wanted]
    assert lists.notes == ('"intent": 10 of 77 options shown, the most similar to the text',)
    told = repr(lists.asked.schema())
    assert "'option 67'" in told
    assert "'option 66'" not in told
    assert "option 66" not in lists.asked.controls[0].ask()


def test_short_lists_are_left_alone() -> None:
    config = config_of(listing("Choices", "Choice", 10))
    lists = lists_of(config, most=10)
    assert lists.asked is config
    assert lists.notes == ()


def test_only_the_long_list_of_two_is_shortened() -> None:
    config = config_of(listing("Choices", "Choice", 9, name="a"), listing("Choices", "Choice", 30, name="b"))
    lists = lists_of(config, most=10)
    assert [len(c.options) for c in lists.asked.controls] == [9, 10]
    assert lists.asked.controls[0] is config.controls[0]
    assert [note.partition(":")[0] for note in lists.notes] == ['"b"']


def test_the_ranking_sees_the_controls_own_object_and_all_that_is_known_of_an_option() -> None:
    seen: list[tuple[str, list[str]]] = []

    def ranking(query: str, options: Sequence[str]) -> Sequence[int]:
        seen.append((query, list(options)))
        return range(len(options))

    options = '<Choice value="Late" alias="delay" hint="came after the day"/>' + "".join(
        f'<Choice value="{n}"/>' for n in range(20)
    )
    config = parse_config(
        '<View><Text name="title" value="$title"/><Text name="body" value="$body"/>'
        f'<Choices name="kind" toName="title">{options}</Choices></View>'
    )
    lists = shortlist(config, config.show({"title": "A title", "body": "A body"}), ranking, most=8)
    assert lists.halved() is None
    assert lists.notes
    ((query, compared),) = seen  # once, however often it is asked
    assert query == "A title"
    assert compared[:2] == ["Late delay came after the day", "0"]


def test_without_any_text_the_first_options_are_asked_and_the_note_says_so() -> None:
    picture = Picture(data_uri="data:image/png;base64,AA==", width=10, height=10)
    options = "".join(f'<Label value="{n}"/>' for n in range(20))
    config = parse_config(
        f'<View><Image name="i" value="$i"/><RectangleLabels name="b" toName="i">{options}</RectangleLabels></View>'
    )
    seen: list[str] = []

    def ranking(query: str, options: Sequence[str]) -> Sequence[int]:
        seen.append(query)
        return range(len(options))

    lists = shortlist(config, config.show({"i": "u"}, {"u": picture}), ranking, most=8)
    assert asked_names(lists) == [[str(n) for n in range(8)]]
    assert lists.notes == ('"b": 8 of 20 options shown, the first: there is no text',)
    assert seen == [""]


# --- fitting ---------------------------------------------------------------------------------------------------


@given(st.integers(1, 400), st.integers(1, 400), st.integers(FEWEST, 300), st.integers(0, 700))
def test_as_many_as_fit_and_never_fewer_than_eight(first: int, second: int, most: int, room: int) -> None:
    config = config_of(listing("Choices", "Choice", first, name="a"), listing("Choices", "Choice", second, name="b"))
    lists = lists_of(config, most=most).fitting(lambda asked: size(asked) <= room)
    counts = [len(c.options) for c in lists.asked.controls]
    common = lists.most
    assert counts == [min(first, common), min(second, common)]
    assert FEWEST <= common <= most
    if size(lists.asked) > room:
        assert common == FEWEST or max(first, second) <= FEWEST
    elif common < min(most, max(first, second)):
        assert min(first, common + 1) + min(second, common + 1) > room


def test_halves_down_to_eight() -> None:
    lists: Shortlist | None = lists_of(config_of(listing("Choices", "Choice", 77)), most=200)
    lengths = []
    while lists is not None:
        lengths.append(size(lists.asked))
        lists = lists.halved()
    assert lengths == [77, 38, 19, 9, 8]


def test_a_config_without_lists_cannot_be_shorter() -> None:
    config = config_of('<TextArea name="why" toName="text"/>')
    lists = lists_of(config, most=8).fitting(lambda asked: False)
    assert lists.asked is config
    assert lists.halved() is None


def test_a_shortened_list_gets_the_enum_that_the_whole_one_is_too_long_for() -> None:
    config = config_of(listing("Choices", "Choice", MAX_ENUM_VALUES + 1))
    assert "enum" not in config.schema()["properties"]["intent"]
    assert len(lists_of(config, most=200).asked.schema()["properties"]["intent"]["enum"]) == 200


# --- trees -----------------------------------------------------------------------------------------------------


def tree(*, leafs_only: bool) -> Taxonomy:
    """Ten branches of ten leaves, each under a twig."""
    branches = "".join(
        f'<Choice value="b{b}"><Choice value="t" alias="twig">'
        + "".join(f'<Choice value="l{leaf}"/>' for leaf in range(10))
        + "</Choice></Choice>"
        for b in range(10)
    )
    attribute = ' leafsOnly="true"' if leafs_only else ""
    (control,) = config_of(f'<Taxonomy name="k" toName="text"{attribute}>{branches}</Taxonomy>').controls
    assert isinstance(control, Taxonomy)
    return control


def test_a_leaf_brings_those_above_it() -> None:
    control = tree(leafs_only=False)
    names = [o.name for o in control.options]
    ranked = [names.index("b7 > t > l3"), names.index("b2 > t > l0"), *range(len(names))]
    offered = control.offering(ranked, 8)
    assert [o.name for o in offered.options] == [
        *("b0", "b0 > t"),
        *("b2", "b2 > t", "b2 > t > l0"),
        *("b7", "b7 > t", "b7 > t > l3"),
    ]
    assert [n.option for n in offered.nodes] == list(offered.options)
    assert offered.nodes[-1].path == ("b7", "twig", "l3")


def test_where_only_leaves_are_chosen_nothing_above_them_is_offered() -> None:
    control = tree(leafs_only=True)
    offered = control.offering(range(len(control.options)), 8)
    assert [o.name for o in offered.options] == [f"b0 > t > l{leaf}" for leaf in range(8)]


@given(st.randoms(use_true_random=False), st.integers(FEWEST, 130), st.booleans())
def test_of_any_tree_exactly_as_many_are_offered(random: object, most: int, leafs_only: bool) -> None:
    control = tree(leafs_only=leafs_only)
    ranked = list(range(len(control.options)))
    random.shuffle(ranked)  # type: ignore[attr-defined]
    offered = control.offering(ranked, most)
    assert len(offered.options) == min(most, len(control.options))
    assert set(offered.options) <= set(control.options)
    assert control.nodes[ranked[0]] in offered.nodes
    if not leafs_only:
        complete = {n.option.name for n in offered.nodes}
        cut = [n for n in complete if SEPARATOR in n and n.rpartition(SEPARATOR)[0] not in complete]
        assert len(cut) <= 1  # the last one, for which there was no more room


def test_the_words_that_stand_for_a_recording_are_no_text_of_the_task() -> None:
    config = parse_config(
        '<View><Text name="t" value="$t"/><Audio name="a" value="$a"/>'
        '<Choices name="c" toName="a"><Choice value="x"/></Choices></View>'
    )
    shown = config.show({"t": "Two dogs", "a": "x.mp3"})
    assert compared_text(config.controls[0], shown) == "Two dogs"
