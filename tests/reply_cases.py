"""The table of odd replies: for each a decided outcome. It is tested, and `docs/replies.md` is made from it.

`python -m tests.reply_cases` prints the page.
"""

from __future__ import annotations

from dataclasses import dataclass

from backend.core.values import JSON


def _control(tag: str) -> str:
    return f'<View><Text name="text" value="$text"/>{tag}</View>'


CONFIGS = {
    "sentiment": _control(
        '<Choices name="sentiment" toName="text"><Choice value="positive" hint="praise or thanks"/>'
        '<Choice value="negative"/><Choice value="neutral"/></Choices>'
    ),
    "topics": _control(
        '<Choices name="topics" toName="text" choice="multiple"><Choice value="billing"/><Choice value="delivery"/>'
        "</Choices>"
    ),
    "nli": _control(
        '<Choices name="nli" toName="text"><Choice value="entailment"/><Choice value="not entailment"/></Choices>'
    ),
    "status": _control('<Choices name="status" toName="text"><Choice value="HIV+"/><Choice value="HIV-"/></Choices>'),
    "grade": _control('<Choices name="grade" toName="text"><Choice value="A-"/><Choice value="B"/></Choices>'),
    "level": _control(
        '<Choices name="level" toName="text"><Choice value="1" alias="0"/><Choice value="2" alias="1"/>'
        '<Choice value="3" alias="2"/></Choices>'
    ),
    "spans": _control('<Labels name="spans" toName="text"><Label value="PER"/><Label value="ORG"/></Labels>'),
    "label": _control('<Labels name="label" toName="text"><Label value="PER"/><Label value="ORG"/></Labels>'),
    "stars": _control('<Rating name="stars" toName="text"/>'),
    "amount": _control('<Number name="amount" toName="text"/>'),
    "why": _control('<TextArea name="why" toName="text"/>'),
}
NOT_FOUND = "is missing: the reply holds no JSON object"
NOT_A_LABEL = "is not one of the labels"
UNCLEAR = "cannot be read with certainty"
CONTRADICTING = "is answered in contradicting ways"
CUT = "was cut off"
TWO = "needs one label and got 2"
ANN = '{"text":"Ann","label":"PER"}'
GOOD = '{"sentiment":"positive"}'


@dataclass(frozen=True, kw_only=True)
class Case:
    """A reply to one control and what is read in it."""

    reply: str
    control: str = "sentiment"
    value: JSON = None  # as decoded; of spans the quoted texts
    step: str | None = None  # of a good reading
    problem: str | None = None  # None: good, or rightly empty
    finish_reason: str = "stop"


def good(reply: str, step: str, value: JSON = ("positive",), control: str = "sentiment", finish: str = "stop") -> Case:
    return Case(reply=reply, control=control, value=value, step=step, finish_reason=finish)


def bad(reply: str, problem: str = NOT_FOUND, control: str = "sentiment", finish: str = "stop") -> Case:
    return Case(reply=reply, control=control, problem=problem, finish_reason=finish)


CASES: dict[str, tuple[Case, ...]] = {
    "JSON": (
        good(GOOD, "strict_json+exact"),
        good('{"label": "Positive."}', "strict_json+normalised"),
        good('{"Sentiment": "positive"}', "strict_json+exact"),
        good('{"sentiment": "positve"}', "strict_json+fuzzy"),
        good('{"sentiment": "praise or thanks"}', "strict_json+exact"),
        good('{"sentiment": ["positive"]}', "strict_json+exact"),
        good('["positive"]', "strict_json+exact"),
        good('"positive"', "strict_json+exact"),
        good(f"```json\n{GOOD}\n```", "mended_json+exact"),
        good(f"Here you are: {GOOD}. Anything else?", "mended_json+exact"),
        good("{'sentiment': 'positive',}", "mended_json+exact"),
        good("{“sentiment”: “positive”}", "mended_json+exact"),
        good("{sentiment: positive}", "mended_json+exact"),
        good('{"sentiment": "positive"', "mended_json+exact"),
        good('{"sentiment": "positive" // sure\n}', "mended_json+exact"),
        bad('{"mood": "positive"}', "is missing in the reply"),
        bad("{}", "is missing in the reply"),
        bad('{"sentiment": null}', "is empty"),
        bad('{"sentiment": "mixed"}', NOT_A_LABEL),
        bad('{"sentiment": "सकारात्मक"}', NOT_A_LABEL),
        bad('{"sentiment": "positive?"}', NOT_A_LABEL),
        bad('{"sentiment": "non-positive"}', NOT_A_LABEL),
        bad('{"sentiment": ["positive", "neutral"]}', TWO),
        bad('{"sentiment": !"positive"}', UNCLEAR),
        bad('{"sentiment": "positive"?}', UNCLEAR),
        bad('{"sentiment": "positive"-ish, not sure}', UNCLEAR),
    ),
    "Several answers": (
        bad('{"sentiment":"negative"} Wait, wrong. {"sentiment":"positive"}', CONTRADICTING),
        bad('{"sentiment":"negative","sentiment":"positive"}', CONTRADICTING),
        bad('{"sentiment":"negative","Sentiment":"positive"}', CONTRADICTING),
        bad('{"sentiment":"positive","negative"}', UNCLEAR),
        bad('["positive", "neutral"]', TWO),
        bad("Label: positive\nLabel: negative", CONTRADICTING),
        bad("1. positive\n2. neutral", TWO),
        bad("positive or negative"),
        good(f"{GOOD} Again: {GOOD}", "mended_json+exact"),
        good('The {text} is good: {"sentiment":"positive"}', "mended_json+exact"),
        good('The form is {"sentiment":"<label>"}, so: {"sentiment":"positive"}', "mended_json+exact"),
    ),
    "Thinking": (
        good(f'<think>{{"sentiment":"negative"}}?</think>{GOOD}', "strict_json+exact"),
        good(f'[THINK]{{"sentiment":"negative"}}?[/THINK]{GOOD}', "strict_json+exact"),
        good(f'<thought>{{"sentiment":"negative"}}?</thought>{GOOD}', "strict_json+exact"),
        good(f'<reasoning>{{"sentiment":"negative"}}?</reasoning>{GOOD}', "strict_json+exact"),
        good(f'{{"sentiment":"negative"}}? No.</think>{GOOD}', "strict_json+exact"),
        good("negative? no</think>\n\npositive", "label_in_prose+exact"),
        good(
            '<|channel|>analysis<|message|>{"sentiment":"negative"}?<|end|><|start|>assistant'
            f"<|channel|>final<|message|>{GOOD}<|return|>",
            "strict_json+exact",
        ),
        bad('<|channel|>analysis<|message|>{"sentiment":"positive"}'),
        bad("<think>surely positive"),
    ),
    "Lines": (
        good("Label: positive", "labelled_line+exact"),
        good("**Label** - positive", "labelled_line+exact"),
        good("**Label:** Positive.", "labelled_line+normalised"),
        good("Answer: positve", "labelled_line+fuzzy"),
        good("Final answer:\npositive", "labelled_line+exact"),
        good("Sentiment: positive\nReason: the writer is glad.", "labelled_line+exact"),
        good("```yaml\nsentiment: positive\n```", "labelled_line+exact"),
        good("उत्तर: positive", "labelled_line+exact"),
        good("1. positive", "labelled_line+exact"),
        good("<answer>positive</answer>", "labelled_line+exact"),
        good("<sentiment>positive</sentiment>", "labelled_line+exact"),
        good("| sentiment | positive |", "labelled_line+exact"),
        bad("| label | score |\n|---|---|\n| positive | 0.9 |", NOT_A_LABEL),
        bad("Label: not positive", NOT_A_LABEL),
        bad("Label: positive or neutral", NOT_A_LABEL),
    ),
    "Prose": (
        good("positive", "label_in_prose+exact"),
        good("positve", "label_in_prose+fuzzy"),
        good("**Positive**.", "label_in_prose+normalised"),
        good("```\npositive\n```", "label_in_prose+normalised"),
        good("Label is positive", "label_in_prose+exact"),
        good("The sentiment is positive.", "label_in_prose+exact"),
        good("I would classify this text as positive.", "label_in_prose+exact"),
        good("<p>The sentiment is <b>positive</b>.</p>", "label_in_prose+exact"),
        good("| sentiment |\n|---|\n| positive |", "label_in_prose+exact"),
        good("It is not entailment.", "label_in_prose+exact", ("not entailment",), "nli"),
        bad(""),
        bad("I'm sorry, I cannot label this."),
        bad("I am unable to label this as positive."),
        bad("It is not positive."),
        bad("It isnt positive."),
        bad("It is hardly positive."),
        bad("Nicht positive"),
        bad("anything but positive"),
        bad("The opposite of positive"),
        bad("I doubt it is positive"),
        bad("Unlikely to be positive."),
        bad("maybe positive"),
        bad("positive?"),
        bad("It could be both: positive, and a bit negative."),
        bad("The text is about a COVID positive test."),
        bad("सकारात्मक"),
    ),
    "The end of the reply": (
        good(GOOD, "strict_json+exact", finish="length"),
        good('{"sentiment":"positive", "rea', "mended_json+exact", finish="length"),
        bad("positive", f"{NOT_FOUND} and {CUT}", finish="length"),
        bad('{"sentiment":"posi', CUT, finish="length"),
        bad("{'sentiment':'positive',", CUT, finish="length"),
        bad('{"topics": ["billing', CUT, "topics"),
        bad('{"topics": ["billing", "deli', CUT, "topics", finish="length"),
        bad('{"spans": [', CUT, "spans"),
        bad('{"spans": [', CUT, "spans", finish="length"),
        Case(reply=f'{{"spans": [{ANN},', control="spans", value=("Ann",), problem=CUT, finish_reason="length"),
        Case(reply=f"[{ANN},", control="spans", value=("Ann",), problem=CUT),
        bad('{"amount": 5', CUT, "amount", finish="length"),
        bad("5", CUT, "amount", finish="length"),
        bad(GOOD, "was filtered by the endpoint", finish="content_filter"),
    ),
    "Labels that are alike": (
        good('{"level": "1"}', "strict_json+exact", ("0",), "level"),
        good('{"level": "2"}', "strict_json+exact", ("1",), "level"),
        good('{"level": "0"}', "strict_json+exact", ("0",), "level"),
        good('{"status": "hiv-"}', "strict_json+normalised", ("HIV-",), "status"),
        good("**HIV+**.", "label_in_prose+normalised", ("HIV+",), "status"),
        bad('{"status": "HIV"}', NOT_A_LABEL, "status"),
        bad('{"status": "HIV negative"}', NOT_A_LABEL, "status"),
        bad('{"grade": "A"}', NOT_A_LABEL, "grade"),
        good('{"nli": "Not-Entailment"}', "strict_json+normalised", ("not entailment",), "nli"),
        good('{"nli": "not entailmnt"}', "strict_json+fuzzy", ("not entailment",), "nli"),
        bad('{"nli": "nonentailment"}', NOT_A_LABEL, "nli"),
    ),
    "Other controls": (
        good(f"[{ANN}]", "strict_json+exact", ("Ann",), "spans"),
        good(f"[{ANN}]", "strict_json+exact", ("Ann",), "label"),
        good(f"```json\n[{ANN},]\n```", "mended_json+exact", ("Ann",), "spans"),
        good("[]", "strict_json+exact", None, "spans"),
        good("topics: billing, delivery", "labelled_line+exact", ("billing", "delivery"), "topics"),
        good("- billing\n- delivery", "labelled_line+exact", ("billing", "delivery"), "topics"),
        good('{"topics": [billing, delivery,]}', "mended_json+exact", ("billing", "delivery"), "topics"),
        bad("billing, delivery", control="topics"),
        good("4", "strict_json+exact", 4, "stars"),
        good("Stars: 4", "labelled_line+normalised", 4, "stars"),
        bad("four", control="stars"),
        bad("4/5", control="stars"),
        bad('{"stars": "four"}', "is not a whole number", "stars"),
        bad('{"amount": 3 or 4}', "is not a number", "amount"),
        bad('{"amount": 5 000}', "is not a number", "amount"),
        bad('{"amount": 5,000}', UNCLEAR, "amount"),
        bad('{"amount": >5}', "is not a number", "amount"),
        bad('{"amount": ~5}', "is not a number", "amount"),
        bad('{"amount": 3.5 (of 5)}', "is not a number", "amount"),
        bad('{"amount": 50%}', "is not a number", "amount"),
        bad('{"amount": 1_000}', "is not a number", "amount"),
        good('{"why": "say "hi" now"}', "mended_json+exact", ('say "hi" now',), "why"),
        good('{"why": "[[[{{{"}', "strict_json+exact", ("[[[{{{",), "why"),
        bad('{"why": glad, mostly}', UNCLEAR, "why"),
    ),
}


def page() -> str:
    """The table as Markdown."""
    lines = [
        "# Odd replies and what is read in them",
        "",
        "Made from the tested table in `tests/reply_cases.py` by `python -m tests.reply_cases > docs/replies.md`.",
        "",
        "A reply is read in named steps: `strict_json`, `mended_json`, `labelled_line`, `label_in_prose`; each value",
        "is then matched to its control: `exact`, `normalised` (case, quotes, punctuation), `fuzzy` (one slip of the",
        "pen in a word). Where there is doubt there is no label: the model is asked again, with the reason named, and",
        "after that the task is invalid, with the reason in its record. Invalid is never a class.",
        "",
        "The controls: `sentiment` is one of positive (hint: praise or thanks), negative, neutral; `topics` any of",
        "billing, delivery; `nli` entailment or not entailment; `status` HIV+ or HIV-; `grade` A- or B; `level` 1, 2,",
        "3 with the aliases 0, 1, 2; `spans` and `label` passages; `stars` a Rating; `amount` a Number; `why` text.",
    ]
    for heading, cases in CASES.items():
        lines += ["", f"## {heading}", "", "| control | reply | read as | step or reason |", "|---|---|---|---|"]
        for case in cases:
            end = "" if case.finish_reason == "stop" else f" (ended by `{case.finish_reason}`)"
            reply = f"{_code(case.reply)}{end}" if case.reply else "nothing"
            how = case.problem or f"`{case.step}`"
            lines.append(f"| `{case.control}` | {reply} | {_value(case)} | {how} |")
    return "\n".join(lines) + "\n"


def _value(case: Case) -> str:
    if case.value is None:
        return "invalid" if case.problem else "rightly nothing"
    values = case.value if isinstance(case.value, tuple) else (case.value,)
    return ", ".join(_code(str(value)) for value in values) + (", invalid" if case.problem else "")


def _code(text: str) -> str:
    fence = "``" if "`" in text else "`"
    shown = text.replace("\n", "⏎").replace("|", "\\|")
    return f"{fence} {shown} {fence}" if fence == "``" else f"{fence}{shown}{fence}"


if __name__ == "__main__":
    print(page(), end="")
