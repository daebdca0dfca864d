"""Why a tag that the editor has is not answered: phrases that follow the tag's name."""

from __future__ import annotations

_NOBODY = "which no model of text or images is asked for"
_MOMENTS = f"marks moments of a recording, {_NOBODY}"
_TRACKS = f"follows things through the frames of a video, {_NOBODY}"
_PIXELS = f"paints areas of an image pixel by pixel, {_NOBODY}"
_OUTLINES = f"draws outlines in an image point by point, {_NOBODY}: only upright boxes are"

_TAGS = {
    "audio": "is a recording, not a control",
    "bitmask": _PIXELS,
    "bitmasklabels": _PIXELS,
    "brush": _PIXELS,
    "brushlabels": _PIXELS,
    "chat": "is a conversation that the annotator takes part in, which no model is asked for",
    "ellipse": _OUTLINES.replace("point by point", "as ellipses"),
    "ellipselabels": _OUTLINES.replace("point by point", "as ellipses"),
    "keypoint": f"sets single points in an image, {_NOBODY}: only upright boxes are",
    "keypointlabels": f"sets single points in an image, {_NOBODY}: only upright boxes are",
    "magicwand": _PIXELS,
    "ocrlabels": "reads the text in an image area by area, which is not supported yet",
    "polygon": _OUTLINES,
    "polygonlabels": _OUTLINES,
    "reactcode": "is an interface of the project's own code, whose answers have no known form",
    "custominterface": "is an interface of the project's own code, whose answers have no known form",
    "timelinelabels": f"marks stretches of a video's timeline, {_NOBODY}",
    "timeserieslabels": f"marks stretches of a time series, {_NOBODY}",
    "vector": _OUTLINES,
    "vectorlabels": _OUTLINES,
    "videorectangle": _TRACKS,
    "videovector": _TRACKS,
    "videovectorlabels": _TRACKS,
}
# What the editor knows beside the tags above and those that are supported.
_KNOWN = frozenset(
    [
        *("bucket", "channel", "choice", "collapse", "dialog", "filter", "header", "label", "markdown"),
        *("multichannel", "pagedview", "panel", "relation", "relations", "repeater", "shortcut", "style", "view"),
    ]
)
_OBJECTS = frozenset(
    [
        *("audio", "audioplus", "chat", "hypertext", "image", "list", "paragraphs", "pdf", "table", "text"),
        *("timeseries", "video"),
    ]
)
# Control, object (lower case): why the one is not answered on the other.
_ON = {
    ("labels", "audio"): _MOMENTS,
    ("labels", "audioplus"): _MOMENTS,
    ("labels", "video"): _MOMENTS,
    ("labels", "timeseries"): f"marks stretches of a time series, {_NOBODY}",
    ("labels", "image"): "names what another control draws, which is not supported: use RectangleLabels",
    ("labels", "paragraphs"): "is not supported: use ParagraphLabels",
    ("hypertextlabels", "text"): "is not supported: use Labels",
    ("rectangle", "video"): _TRACKS,
    ("rectanglelabels", "video"): _TRACKS,
}


def why_unsupported(tag: str) -> str:
    """Of a control's tag that no class is registered for."""
    known = _TAGS.get(tag.lower())
    if known is not None:
        return known
    if tag.lower() in _OBJECTS:
        return "is an object, which holds no answer: its toName has no meaning"
    return "is not supported yet" if tag.lower() in _KNOWN else "is no tag that Label Studio's editor has"


def why_not_shown(tag: str) -> str:
    """Of an object's tag that no class is registered for."""
    if tag.lower() in _OBJECTS or tag.lower() in _KNOWN or tag.lower() in _TAGS:
        return "is not supported yet"
    return "is no tag that Label Studio's editor has"


def why_not_on(control: str, target: str, name: str) -> str:
    """Of a control on an object that it is not answered on."""
    if control == "Ranker":
        return f'on {target} "{name}" has no items to rank: the editor ranks those of a List only'
    otherwise = "is not supported yet" if target == "Pdf" else "is not supported"
    return f'on {target} "{name}" {_ON.get((control.lower(), target.lower()), otherwise)}'
