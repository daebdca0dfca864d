"""HTML shown as its text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.labeling.objects.hypertext import HyperText

TAG = HyperText(name="h", variable="html")


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain", "plain"),
        ("<p>One</p><p>Two</p>", "One\nTwo"),
        ("One<br>Two<br/>Three", "One\nTwo\nThree"),
        ("<b>bo</b>ld <i>and</i>\n  <u>so on</u>", "bold and so on"),
        ("<div><p>\n\n</p><p> x </p></div>", "x"),
        ("<ul><li>a</li><li>b</li></ul>", "a\nb"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a\nb"),
        ("a &amp; b &lt;c&gt; &#x1F600; &eacute; &nope;", "a & b <c> 😀 é &nope;"),
        ("a&nbsp;b", "a b"),
        ("<script>var x = '<p>no</p>';</script>yes<style>p {}</style>", "yes"),
        ("<head><title>no</title></head><body>yes</body>", "yes"),
        ("<html><head><meta charset=utf-8><title>no</title><body><p>yes", "yes"),  # its end tags are optional
        ("<p>one\n two</p>\n\n<pre>three\n  four</pre> five\nsix", "one two\nthree\nfour\nfive six"),
        ("<!-- no --><p>yes</p><!doctype html>", "yes"),
        ("<p>open <b>tags", "open tags"),
        ("</p></script>closed", "closed"),
        ("<template><noscript>no</noscript>no</template>yes", "yes"),
        ("<pre>a\n<b>b\n</b></pre></pre>c\nd", "a\nb\nc d"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("<p>שלום <b>עולם</b></p>", "שלום עולם"),
        ("<p>{{ x }} ''' {% y %}</p>", "{{ x }} ''' {% y %}"),
        ("", ""),
        ("<p></p>", ""),
        ("   ", ""),
    ],
)
def test_text(html: str, text: str) -> None:
    assert TAG.content_of(html).text == text


@pytest.mark.parametrize("html", ["<p>", "<title>x", "<script>", "<", "<!--", "<![CDATA[", "&#", "<a b='"])
def test_a_long_broken_document_still_gives_text(html: str) -> None:
    assert isinstance(TAG.content_of(html * 2_000).text, str)


@given(st.text(st.characters(exclude_categories=()) | st.sampled_from("<>/&;!-")))
def test_no_html_makes_it_raise(html: str) -> None:
    text = TAG.content_of(html).text
    assert text == text.strip()
    assert "\n\n" not in text
