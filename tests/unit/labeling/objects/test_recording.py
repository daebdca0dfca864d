"""Recordings are never shown: their transcript is, or what else there is to read, or nothing is asked about them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.values import Outcome, Request, TaskState
from backend.dialogue import annotate
from backend.labeling.objects.recording import Audio
from backend.labeling.parsing import parse_config
from tests.samples import question, reply, task

CHOICES = '<Choices name="c" toName="a"><Choice value="x"/><Choice value="y"/></Choices>'
SPOKEN = f'<View><Audio name="a" value="$sound"/>{CHOICES}</View>'
WITH_TEXT = SPOKEN.replace("<View>", '<View><Text name="t" value="$title"/>')
UNSEEN = 'Audio "a" is a recording, and the data has no transcript of it'


def first_request(xml: str, **data: Any) -> Request | Outcome:
    try:
        return next(annotate(question(xml, reasks=0), task(**data)))
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome


@pytest.mark.parametrize(
    ("data", "transcript"),
    [
        ({"transcript": "hello"}, "hello"),
        ({"Transcription": "hello"}, "hello"),
        ({"ASR": "hello"}, "hello"),
        ({"sound_transcript": "own", "transcript": "any"}, "own"),
        ({"transcript": " ", "captions": "hello"}, "hello"),
        ({"transcript": ["no"], "subtitles": "hello"}, "hello"),
        ({"transcript": "a \ud800 b"}, "a \ufffd b"),
    ],
)
def test_a_transcript_is_shown_for_the_recording(data: dict[str, Any], transcript: str) -> None:
    request = first_request(SPOKEN, sound="x.mp3", **data)
    assert isinstance(request, Request)
    assert f'Data "a":\n~~~\nTranscript of this recording:\n{transcript}\n~~~' in request.messages[-1].content
    assert set(data) <= set(parse_config(SPOKEN).variables)


@pytest.mark.parametrize("data", [{}, {"transcript": ""}, {"transcript": 3}, {"text": None}, {"words": "hello"}])
def test_without_a_transcript_nothing_is_asked(data: dict[str, Any]) -> None:
    outcome = first_request(SPOKEN, sound="x.mp3", **data)
    assert isinstance(outcome, Outcome)
    assert (outcome.state, outcome.error) == (TaskState.SKIPPED, f"Nothing to annotate: {UNSEEN}.")


def test_other_text_answers_too_and_the_prompt_says_what_is_not_shown() -> None:
    request = first_request(WITH_TEXT, sound="x.mp3", title="Two dogs bark")
    assert isinstance(request, Request)
    assert "(This is a recording, which is not shown to you.)" in request.messages[-1].content
    assert '"c" about "a"' in request.messages[-1].content


@pytest.mark.parametrize("title", [None, "", " "])
def test_text_that_this_task_does_not_have_answers_nothing(title: str | None) -> None:
    outcome = first_request(WITH_TEXT, sound="x.mp3", title=title)
    assert isinstance(outcome, Outcome)
    assert outcome.state is TaskState.SKIPPED


@pytest.mark.parametrize(
    "beside",
    ['<Text name="t" value="Listen closely"/>', '<Image name="t" value="$i"/>', '<Video name="t" value="$v"/>'],
)
def test_words_of_the_config_images_and_other_recordings_answer_nothing(beside: str) -> None:
    config = parse_config(SPOKEN.replace("<View>", f"<View>{beside}"))
    shown = config.show({"sound": "x.mp3", "v": "x.mp4", "i": "x.png"})
    assert config.unanswerable(shown) == {"c": f"has nothing to look at: {UNSEEN}"}


def test_a_key_that_another_object_shows_is_no_transcript() -> None:
    xml = WITH_TEXT.replace("$title", "$text")
    shown = parse_config(xml).show({"sound": "x.mp3", "text": "Ann"})
    assert shown["a"].unseen == UNSEEN
    assert shown["t"].text == "Ann"


def test_a_missing_recording_is_named() -> None:
    shown = parse_config(WITH_TEXT).show({"title": "x"})
    assert shown["a"].problem == "the data has no 'sound' and no transcript of it"
    assert parse_config(WITH_TEXT).show({"title": "x", "transcript": "y"})["a"].problem is None


@pytest.mark.parametrize(
    ("area", "asked"),
    [
        ('<TextArea name="transcription" toName="a"/>', False),
        ('<Header value="Transcribe what is said"/><TextArea name="w" toName="a"/>', False),
        ('<TextArea name="w" toName="a" placeholder="Subtitles"/>', False),
        ('<TextArea name="comment" toName="a"/>', True),
    ],
)
def test_nobody_is_asked_to_write_down_what_is_not_shown(area: str, asked: bool) -> None:
    config = parse_config(WITH_TEXT.replace(CHOICES, area))
    (control,) = config.controls
    found = config.unanswerable(config.show({"sound": "x.mp3", "title": "Two dogs"}))
    assert found == ({} if asked else {control.name: f"has nothing to look at: {UNSEEN}"})
    assert config.unanswerable(config.show({"sound": "x.mp3", "transcript": "Two dogs"})) == {}


@pytest.mark.parametrize(
    ("tag", "what"), [("Video", "video"), ("TimeSeries", "time series"), ("AudioPlus", "recording")]
)
def test_every_kind_is_called_by_what_it_is(tag: str, what: str) -> None:
    config = parse_config(SPOKEN.replace("Audio", tag))
    assert config.show({"sound": "u", "caption": "c"})["a"].text == f"Transcript of this {what}:\nc"
    assert config.show({"sound": "u"})["a"].problem == f'{tag} "a" is a {what}, and the data has no transcript of it'


def test_which_of_two_recordings_is_better_is_read_off_their_own_transcripts() -> None:
    xml = '<View><Audio name="a" value="$one"/><Audio name="b" value="$two"/><Pairwise name="p" toName="a,b"/></View>'
    data = {"one": "1.mp3", "two": "2.mp3", "one_transcript": "Hi", "two_transcript": "Ho"}
    dialogue = annotate(question(xml, reasks=0), task(**data))
    content = next(dialogue).messages[-1].content
    assert "Transcript of this recording:\nHi" in content
    assert "Transcript of this recording:\nHo" in content
    assert parse_config(xml).show({"one": "1.mp3", "two": "2.mp3", "transcript": "whose?"})["a"].problem
    with pytest.raises(StopIteration) as stop:
        dialogue.send(reply('{"p": "left"}'))
    assert stop.value.value.state is TaskState.DONE


def test_transcripts_are_no_columns_of_the_tab() -> None:
    config = parse_config(WITH_TEXT)
    assert config.columns == ("title", "sound")
    assert {"transcript", "TRANSCRIPT", "sound_transcript"} <= set(config.variables)


@given(
    st.dictionaries(
        st.sampled_from(["sound", "transcript", "TEXT", "asr"]), st.recursive(st.none() | st.text(), st.lists)
    )
)
def test_whatever_the_data_holds_it_is_shown_or_the_reason_said(data: dict[str, Any]) -> None:
    shown = Audio(name="a", variable="sound").show(data)
    assert bool(shown.problem) != bool(shown.text.strip())
