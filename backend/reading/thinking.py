"""The thinking that a reply begins with, told from its answer by the tags of the model families."""

from __future__ import annotations

import json
import re

from backend.reading.given import closed_braces

_TAGS = (  # opening, closing; case does not matter
    ("<think>", "</think>"),  # DeepSeek, Qwen and most others
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<thoughts>", "</thoughts>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<analysis>", "</analysis>"),
    ("<scratchpad>", "</scratchpad>"),
    ("[THINK]", "[/THINK]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi
    ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel|>analysis", "<|channel|>final<|message|>"),  # gpt-oss
    ("<|channel|>commentary", "<|channel|>final<|message|>"),
    ("<|start|>assistant<|channel|>analysis", "<|channel|>final<|message|>"),
)
_LEADS = ("<|channel|>final<|message|>", "<|start|>assistant<|channel|>final<|message|>")
_ENDS = ("<|return|>", "<|end|>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>", "</s>")
_MOST_CLOSINGS = 100
_CLOSER = {opening.casefold(): re.compile(re.escape(closing), re.IGNORECASE) for opening, closing in _TAGS}
_OPENING = re.compile(
    "|".join(re.escape(t) for t in sorted({o for o, _ in _TAGS}, key=len, reverse=True)), re.IGNORECASE
)
_CLOSING = re.compile("|".join(re.escape(t) for t in sorted({c for _, c in _TAGS})), re.IGNORECASE)
_SPACE = re.compile(r"\s*")


def without_thinking(text: str) -> str:
    """`text` with the thinking before the answer blanked; of the same length, so that positions stay true.

    Thinking is what a reply begins with between its tags; without the closing tag it is all of the reply. Some servers
    swallow the opening tag: then it is what stands before a closing one. A tag inside the JSON of an answer, as in a
    quoted passage, is left alone.
    """
    end = 0
    while opened := _OPENING.match(text, _after_space(text, end)):
        closed = _CLOSER[opened.group().casefold()].search(text, opened.end())
        if closed is None:
            return " " * len(text)
        end = closed.end()
    for _ in range(_MOST_CLOSINGS):
        closed = _CLOSING.search(text, end)
        if closed is None or _is_quoted(text, end, closed):
            break
        end = closed.end()
    begin = _after_space(text, end)
    end = next((begin + len(lead) for lead in _LEADS if text.startswith(lead, begin)), end)
    stop = _before_end_marks(text, end)
    return " " * end + text[end:stop] + " " * (len(text) - stop)


def _before_end_marks(text: str, begin: int) -> int:
    """Where the answer ends, the marks that some servers leave at its end and the space around them left out."""
    stop = len(text)
    while True:
        last = stop
        while last > begin and text[last - 1].isspace():
            last -= 1
        mark = next((e for e in _ENDS if text.endswith(e, begin, last)), None)
        if mark is None:
            return stop
        stop = last - len(mark)


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _is_quoted(text: str, begin: int, closed: re.Match[str]) -> bool:
    """Whether the closing tag stands inside the JSON that begins before it."""
    start = text.find("{", begin, closed.start())
    if start < 0 or start in closed_braces(text, start, closed.start()):
        return False
    try:
        _, end = json.JSONDecoder(strict=False).raw_decode(text, start)
    except (ValueError, RecursionError):
        return text.find("{", closed.end()) < 0
    return end > closed.start()
