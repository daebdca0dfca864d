"""PDF documents of a few objects, written by hand: text layers, scans, form fields, encryption."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from tests.fakes.pictures import drawn

LETTER = (612, 792)
_PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")
_FILE_ID = b"0123456789abcdef"
_PERMISSIONS = -4


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One page."""

    text: str = ""  # its text layer, a line a line; Latin-1
    scan: bytes | None = None  # a JPEG that fills the page
    field: str | None = None  # what stands in its one form field
    size: tuple[float, float] = LETTER
    content: bytes = b""  # drawn after the rest


def scanned(colour: str = "green") -> Sheet:
    """A page without text: a box of a colour, as `tests.fakes.pictures` draws it."""
    return Sheet(scan=drawn((850, 1100), (85, 220, 340, 660), colour=colour, form="JPEG", quality=95))


def letter(text: str = "Dear Ann, thank you for the parcel.", *, lines: int = 12) -> Sheet:
    """A page with enough text to be read as text."""
    return Sheet(text="\n".join([text] * lines))


def pdf(
    *sheets: Sheet,
    password: bytes | None = None,
    to_open: bytes | None = None,
    looks: bool = True,
    more: Sequence[bytes] = (),
) -> bytes:
    """A document. With a `password` it is encrypted (RC4, 40 bits); `to_open` is the one that opening it takes.

    Without `looks` its form fields leave it to the reader how they are drawn. `more` are objects numbered from 4 on
    that each page's content can draw, as /X4, /X5, ...
    """
    objects = [b"", b"", b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>", *more]
    named = b"".join(b"/X%d %d 0 R" % (number, number) for number in range(4, 4 + len(more)))
    fields: list[bytes] = []
    kids: list[bytes] = []
    for sheet in sheets:
        drawing, drawable, annotations = sheet.content, named, b""
        if sheet.text:
            drawing += _lines(sheet.text, sheet.size[1])
        if sheet.scan is not None:
            objects.append(stream(sheet.scan, image_head(850, 1100) + b"/Filter/DCTDecode"))
            drawable += b"/I %d 0 R" % len(objects)
            drawing += b"q %g 0 0 %g 0 0 cm /I Do Q" % sheet.size
        if sheet.field is not None:
            objects.append(_field(sheet.field, objects, looks=looks))
            fields.append(b"%d 0 R" % len(objects))
            annotations = b"/Annots[%s]" % fields[-1]
        objects.append(stream(drawing))
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %g %g]/Contents %d 0 R%s"
            b"/Resources<</Font<</F 3 0 R>>/XObject<<%s>>>>>>" % (*sheet.size, len(objects), annotations, drawable)
        )
        kids.append(b"%d 0 R" % len(objects))
    own = b"/NeedAppearances true" if not looks else b""
    form = b"/AcroForm<</Fields[%s]/DR<</Font<</F 3 0 R>>>>/DA(/F 12 Tf 0 g)%s>>" % (b" ".join(fields), own)
    objects[0] = b"<</Type/Catalog/Pages 2 0 R%s>>" % (form if fields else b"")
    objects[1] = b"<</Type/Pages/Kids[%s]/Count %d>>" % (b" ".join(kids), len(kids))
    return _file(objects, password, to_open)


def image_head(width: int, height: int) -> bytes:
    """The dictionary of an image in three bytes a pixel, but for its filter."""
    size = b"/Width %d/Height %d" % (width, height)
    return b"/Type/XObject/Subtype/Image/ColorSpace/DeviceRGB/BitsPerComponent 8" + size


def stream(content: bytes, head: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (head, len(content), content)


def _field(text: str, objects: list[bytes], *, looks: bool) -> bytes:
    look = b"/DA(/F 12 Tf 0 g)"
    if looks:
        form = b"/Type/XObject/Subtype/Form/BBox[0 0 300 20]/Resources<</Font<</F 3 0 R>>>>"
        objects.append(stream(b"/Tx BMC BT /F 12 Tf 2 6 Td (%s) Tj ET EMC" % _escaped(text), form))
        look = b"/AP<</N %d 0 R>>" % len(objects)
    return b"<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/F 4/Rect[50 100 350 120]/V(%s)%s>>" % (_escaped(text), look)


def _lines(text: str, height: float) -> bytes:
    shown = b"".join(b"(%s) Tj T* " % _escaped(line) for line in text.split("\n"))
    return b"BT /F 12 Tf 14 TL 50 %g Td %sET\n" % (height - 60, shown)


def _escaped(text: str) -> bytes:
    return b"".join(b"\\" + bytes([c]) if c in b"()\\" else bytes([c]) for c in text.encode("latin-1"))


def _file(objects: Sequence[bytes], password: bytes | None, to_open: bytes | None) -> bytes:
    trailer = b"/Size %d/Root 1 0 R/ID[<%s><%s>]"
    if password is not None:
        owner, user, key = _keys(password, to_open or b"")
        objects = [_encrypted(number, body, key) for number, body in enumerate(objects, start=1)]
        entry = b"<</Filter/Standard/V 1/R 2/O<%s>/U<%s>/P %d>>"
        objects.append(entry % (owner.hex().encode(), user.hex().encode(), _PERMISSIONS))
        trailer += b"/Encrypt %d 0 R" % len(objects)
    out, places = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    named = _FILE_ID.hex().encode()
    out += b"trailer<<%s>>\nstartxref\n%d\n%%%%EOF\n" % (trailer % (len(objects) + 1, named, named), start)
    return bytes(out)


def _keys(password: bytes, to_open: bytes) -> tuple[bytes, bytes, bytes]:
    """The entries O and U, and the file's key: algorithms 2 to 4 of the standard security handler, revision 2."""
    opening = (to_open + _PADDING)[:32]
    owner = _rc4(hashlib.md5((password + _PADDING)[:32]).digest()[:5], opening)
    limits = (_PERMISSIONS & 0xFFFFFFFF).to_bytes(4, "little")
    key = hashlib.md5(opening + owner + limits + _FILE_ID).digest()[:5]
    return owner, _rc4(key, _PADDING), key


def _encrypted(number: int, body: bytes, key: bytes) -> bytes:
    """An object with its stream encrypted; the strings of these documents stand in streams only."""
    head, mark, rest = body.partition(b"stream\n")
    if not mark:
        return body
    content = rest.removesuffix(b"\nendstream")
    own = hashlib.md5(key + number.to_bytes(3, "little") + b"\x00\x00").digest()[:10]
    return head + mark + _rc4(own, content) + b"\nendstream"


def _rc4(key: bytes, content: bytes) -> bytes:
    state, j, out = list(range(256)), 0, bytearray()
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    i = j = 0
    for byte in content:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
