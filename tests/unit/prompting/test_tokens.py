"""Estimated tokens, beside what a real tokenizer counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.values import Message
from backend.prompting.render import least_tokens
from backend.prompting.tokens import IMAGE_TOKENS, MESSAGE_TOKENS, estimated_tokens, text_tokens

# Text -> tokens that Qwen 2.5's tokenizer makes of it, by `/tokenize` of llama.cpp's server.
COUNTED = {
    "german": (
        "Die Donaudampfschifffahrtsgesellschaft hat heute mitgeteilt, dass die Rücksendung der beschädigten Lieferung über das Kundenportal möglich ist. ",
        41,
    ),
    "french": (
        "Nous avons reçu votre réclamation concernant la livraison retardée et vous présentons nos excuses les plus sincères. ",
        26,
    ),
    "turkish": (
        "Müşterilerimizin şikâyetlerini değerlendirdikten sonra kendilerine geri dönüş yapacağız, anlayışınız için teşekkürler. ",
        35,
    ),
    "finnish": (
        "Valitettavasti toimituksessanne on tapahtunut viivästys, jonka vuoksi pyydämme anteeksi aiheutunutta häiriötä. ",
        46,
    ),
    "polish": (
        "Zażółć gęślą jaźń: proszę o natychmiastowy zwrot pieniędzy za uszkodzoną przesyłkę, którą otrzymałem wczoraj. ",
        47,
    ),
    "vietnamese": (
        "Tôi đã đặt hàng từ tuần trước nhưng đến nay vẫn chưa nhận được sản phẩm, xin vui lòng kiểm tra giúp tôi. ",
        29,
    ),
    "russian": (
        "Здравствуйте, я хочу вернуть товар, который пришёл повреждённым, и получить деньги обратно на карту. ",
        35,
    ),
    "greek": ("Καλημέρα σας, θα ήθελα να επιστρέψω το προϊόν που παρέλαβα χθες γιατί είναι ελαττωματικό. ", 78),
    "arabic": ("مرحبا، أريد إرجاع المنتج الذي وصلني تالفا واسترداد المبلغ المدفوع في أقرب وقت ممكن. ", 35),
    "hebrew": ("שלום, אני רוצה להחזיר את המוצר שהגיע פגום ולקבל את הכסף בחזרה בהקדם האפשרי. ", 30),
    "hindi": ("नमस्ते, मैं क्षतिग्रस्त उत्पाद वापस करना चाहता हूँ और अपने पैसे वापस पाना चाहता हूँ। ", 83),
    "tamil": ("வணக்கம், சேதமடைந்த பொருளை திருப்பி அனுப்பி என் பணத்தை திரும்ப பெற விரும்புகிறேன். ", 90),
    "thai": ("สวัสดีครับ ผมต้องการคืนสินค้าที่เสียหายและขอเงินคืนโดยเร็วที่สุด ", 36),
    "chinese": ("您好，我想退回昨天收到的损坏商品，并尽快将款项退回到我的银行卡。", 18),
    "japanese": ("こんにちは、昨日届いた破損した商品を返品して、できるだけ早く返金してもらいたいです。", 25),
    "korean": ("안녕하세요, 어제 받은 파손된 상품을 반품하고 가능한 한 빨리 환불받고 싶습니다. ", 33),
    "georgian": ("გამარჯობა, მინდა დავაბრუნო დაზიანებული პროდუქტი და დავიბრუნო თანხა. ", 68),
    "amharic": ("ሰላም፣ የተበላሸውን ምርት መመለስ እና ገንዘቤን ማስመለስ እፈልጋለሁ። ", 54),
    "english": (
        "I was charged twice for my order and the money has still not come back to my card, although your colleague promised on Monday that it would take three days at most.",
        34,
    ),
    "labels": (
        "- card_payment_wrong_exchange_rate\n- Refund_not_showing_up\n- balance_not_updated_after_cheque_or_cash_deposit\n- top_up_by_card_charge\n- verify_my_identity\n",
        38,
    ),
    "paths": (
        "- Electronics > Phones > Smartphones: with a touch screen\n- Electronics > Phones > Chargers & Cables\n- Home & Garden > Kitchen > Coffee makers\n",
        33,
    ),
    "code": (
        'def area(width: float, height: float) -> float:\n    """Square metres."""\n    if width < 0 or height < 0:\n        raise ValueError("negative")\n    return width * height\n',
        42,
    ),
    "json": (
        '{"id": 4711, "name": "Ann", "labels": [{"start": 12, "end": 19, "text": "Example"}], "score": 0.875, "ok": true}\n',
        54,
    ),
    "table": ("| 12 | 3.50 EUR | 2024-01-02 |\n| 13 | 17.20 EUR | 2024-02-29 |\n", 49),
    "capitals": ("PLEASE REFUND THE TRANSACTION IMMEDIATELY OR I WILL CONTACT YOUR SUPERVISOR.", 17),
    "emoji": ("👍 great 😀🎉 thanks ❤️ 🇩🇪 🤷🏽", 15),
    "hex": ("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", 59),
}
TOO_LOW = {"finnish": 0.75}  # the others are not below the truth by more than a twentieth


@pytest.mark.parametrize("name", COUNTED)
def test_the_estimate_is_near_and_rarely_below_what_a_tokenizer_counts(name: str) -> None:
    text, counted = COUNTED[name]
    assert TOO_LOW.get(name, 0.95) * counted <= text_tokens(text) < 2 * counted


def test_every_message_and_image_counts() -> None:
    picture = "data:image/png;base64," + "A" * 100_000
    message = Message(role="user", content="one two", images=(picture, picture))
    assert estimated_tokens([message, message]) == 2 * (MESSAGE_TOKENS + 2 + 2 * IMAGE_TOKENS)
    assert estimated_tokens([]) == 0


@given(st.text(st.characters()), st.text(st.characters()))
def test_the_estimate_lies_between_what_is_surely_there_and_the_bytes(first: str, second: str) -> None:
    message = Message(role="user", content=first)
    assert least_tokens((message,)) <= estimated_tokens([message])
    assert text_tokens(first) <= len(first.encode("utf-8", "surrogatepass"))
    assert text_tokens(first + "\n" + second) >= max(text_tokens(first), text_tokens(second))


def test_no_script_is_free() -> None:
    blocks = ["".join(map(chr, range(first, first + 16))) for first in range(0x80, 0x110000, 16)]
    assert [ascii(block) for block in blocks if text_tokens(block) < 4] == []


def test_a_megabyte_is_estimated_at_once() -> None:
    assert text_tokens("word " * 200_000) == 200_000
    assert text_tokens(" " * 1_000_000) == 31_250
