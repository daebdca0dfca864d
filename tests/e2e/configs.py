"""Labeling configs and tasks of the end-to-end tests. The scripted model's answers to them are known beforehand."""

from __future__ import annotations

FEEDBACK = """
<View>
  <Text name="text" value="$text"/>
  <Choices name="sentiment" toName="text" choice="single">
    <Choice value="positive" hint="praise or thanks"/>
    <Choice value="negative" hint="a complaint"/>
    <Choice value="neutral" hint="only facts"/>
  </Choices>
  <Choices name="topic" toName="text" choice="single">
    <Choice value="delivery"/><Choice value="price"/><Choice value="product"/>
  </Choices>
</View>
"""
FEEDBACK_AND_ANGRY = FEEDBACK.replace('<Choice value="neutral"', '<Choice value="angry"/><Choice value="neutral"')

FEEDBACK_ROWS = [
    {"text": text}
    for text in (
        "The delivery was great, thanks!",
        "Broken product, awful.",
        "The price is 12 euros.",
        "Late delivery, and nobody was sorry. Terrible.",
        "I love the product.",
        "The parcel has a blue label.",
        "Best price in town 🎉",
        "My refund never came.",
        "It weighs two kilograms.",
        "Wonderful delivery, perfect product",
        "The worst support.",
        "Open from nine to five.",
    )
]

EVERYTHING = """
<View>
  <Text name="question" value="$question"/>
  <Text name="reply" value="$reply"/>
  <HyperText name="page" value="$page"/>
  <Choices name="sentiment" toName="question" choice="single">
    <Choice value="positive"/><Choice value="negative"/><Choice value="neutral"/>
  </Choices>
  <Choices name="topics" toName="question" choice="multiple">
    <Choice value="billing"/><Choice value="delivery"/><Choice value="quality"/>
  </Choices>
  <Labels name="entities" toName="question"><Label value="PER"/><Label value="ORG"/></Labels>
  <Rating name="stars" toName="page" maxRating="5"/>
  <Number name="amount" toName="question" min="0" max="1000"/>
  <TextArea name="summary" toName="page" rows="2"/>
  <Taxonomy name="kind" toName="question">
    <Choice value="Animal"><Choice value="Cat"/><Choice value="Dog"/></Choice>
    <Choice value="Plant"><Choice value="Tree"/></Choice>
  </Taxonomy>
  <Pairwise name="better" toName="question,reply"/>
</View>
"""

# The emoji stand before the span: counted in UTF-16 units, "Ann" would be marked two characters too early.
EVERYTHING_ROWS = [
    {
        "question": "👩‍👩‍👧😀 Thanks Ann, delivery and billing of 42 for the dog are great",
        "reply": "No idea",
        "page": "<p>All <b>good</b></p>",
    },
    {
        "question": "🇮🇳 Yesterday Maria saw an old tree",
        "reply": "This is the right place",
        "page": "<p>Sorry</p>",
    },
]
