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

SPANS = """
<View>
  <Text name="note" value="$note"/>
  <Labels name="in_note" toName="note"><Label value="PER" background="#d0a"/><Label value="ORG"/></Labels>
  <HyperText name="page" value="$page"/>
  <HyperTextLabels name="in_page" toName="page">
    <Label value="PER" background="#d0a"/><Label value="ORG"/>
  </HyperTextLabels>
  <Paragraphs name="turns" value="$turns" layout="dialogue"/>
  <ParagraphLabels name="in_turns" toName="turns">
    <Label value="PER" background="#d0a"/><Label value="ORG"/>
  </ParagraphLabels>
</View>
"""

# Each row with the passages that a model quotes from it. Emoji and letters of two units stand before them.
SPANS_ROWS: list[tuple[dict[str, object], dict[str, list[str]]]] = [
    (
        {
            "note": "👩‍👩‍👧😀 Ann & <b>Ann</b> met\r\nİpek, Straße 5 — 𝒜nn's cafe\u0301.",
            "page": (
                "<h1>😀 Ann &amp; Bob</h1><p>An unclosed 👩‍👩‍👧 paragraph on <b>Ann</b>&nbsp;Lee<!-- gone --> and "
                "<i>New\n   Yo</i>rk<table><tr><td>🇮🇳 Ann<td>Straße</table><script>var Ann</script>हिन्दी &#x1F600; Ann"
            ),
            "turns": [
                {"author": "Ann", "text": "👍🏽 Hello Bob, it is Ann."},
                {"author": "Bob", "text": "Ann? 😀 İpek says\nthe Straße is closed & e\u0301mpty."},
            ],
        },
        {
            "note": ["Ann", "Ann", "İpek", "Straße 5", "𝒜nn's", "cafe\u0301"],
            "page": ["Ann", "Bob", "Ann\xa0Lee", "Ann", "New\n   York", "Ann", "Straße", "हिन्दी", "Ann"],
            "turns": ["Bob", "Ann", "Ann", "İpek", "Straße", "e\u0301mpty"],
        },
    ),
]

# Pages that browsers and sanitisers mend; each of their words is quoted but "no", which cannot be highlighted.
ODD_PAGES = [
    "plain 😀 text",
    "  <p>leading space</p> tail",
    "<p>one<p>two<div>three</p>four",
    "<b>bold <i>both</b> italic</i> none",
    "<table>fostered<tr><td>cell<td>other</tr>between<tr><th>third</table>after",
    "<table><tr><td><table><td>inner</table>outer<tfoot><tr><td>foot</table>",
    "a<!-- no -->b c<script>x()</script>d<iframe src='https://example.com'>no</iframe>e",
    "<ul><li>one<li>two<ul><li>three</ul>four</ul>five",
    "<dl><dt>term<dd>meaning<dt>next</dl>",
    "<pre>\n  kept\n\n lines 😀 here</pre>",
    "line<br>break<br/>again</br>more",
    "<html><head><title>no</title><style>p{}</style></head><body class=x><p>body</p></body></html> behind",
    "<a href=1>one<a href=2>two</a> three",
    "&lt;tag&gt; &amp;amp; &eacute; &nope; &copy 5 &#x1F600; &#128512 6",
    "<div hidden=hidden>no</div><span style='display: none'>no</span><p hidden>seen</p>",
    "<svg width=50 height=20><text x=0 y=15>no</text></svg> beside",
    "<p>1 < 2 and 3 > 2 <notatag>odd</notatag> <x-y>own</x-y>",
    "cr\rlf\r\nend &#13; raw",
    "<select><option>no</select><button>press<p>in</button>out",
    "<h1>one<h2>two</h1>three</h2>",
    "<ruby>字<rt>zi</ruby> after <wbr>soft<wbr>break",
    "<noscript><p>no</p></noscript>yes<textarea>no</textarea>",
    "<p style='text-transform:uppercase'>upper case</p><p>   spaced    out   </p>",
    "<center><font color=red>old <b>ways</font> go</center> on",
]

# Rankers over one List each, and labels of the task's data on a text that is put together from two keys.
RANKERS = {
    "one order": """
<View>
  <List name="results" value="$items" title="Results"/>
  <Ranker name="rank" toName="results"/>
</View>
""",
    "buckets": """
<View>
  <List name="results" value="$items" title="Results"/>
  <Ranker name="rank" toName="results">
    <Bucket name="best" title="Best results"/><Bucket name="ads" title="Paid results"/>
  </Ranker>
</View>
""",
    "a bucket for the rest": """
<View>
  <List name="results" value="$items" title="Results"/>
  <Ranker name="rank" toName="results">
    <Bucket name="best" title="Best results"/><Bucket name="rest" title="All others" default="true"/>
  </Ranker>
</View>
""",
}
RANKED_ROW = {
    "items": [
        {"id": "mdn", "title": "Arrow functions", "body": "A compact alternative"},
        {"id": 7, "title": "Ten tips 👍", "html": "<b>Nothing</b> worse"},
        {"id": 2.0, "title": "Arrow", "body": "Bolts"},
        {"id": "an id", "title": "Quiver", "body": "Holds arrows"},
    ]
}

OWN_LABELS = """
<View>
  <Header value="$title (by $who.name)"/>
  <Text name="text" value="👍 &quot;$title&quot; by $who.name, $year"/>
  <Labels name="spans" toName="text" value="$options.spans"/>
  <Choices name="kind" toName="text"><Choice value="book" selected="true"/><Choice value="film"/></Choices>
</View>
"""
OWN_LABELS_ROW = {
    "title": "Dune 😀",
    "who": {"name": "Frank Herbert"},
    "year": 1965.0,
    "options": {
        "spans": [{"value": "WORK", "background": "#d0a"}, {"value": "PERSON", "alias": "PER"}, {"value": "YEAR"}]
    },
}
