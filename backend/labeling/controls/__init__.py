"""One file a control tag. `SUPPORTED` maps a tag, as written in a labeling config, to its class.

A new control is a file here and a row in `SUPPORTED`; the contract suite (`tests/contract/test_controls.py`)
then runs over it.
"""

from backend.labeling.controls.base import Control, Decoded, Option
from backend.labeling.controls.choices import Choices
from backend.labeling.controls.datetime import DateTime
from backend.labeling.controls.labels import HyperTextLabels, Labels, ParagraphLabels, Span
from backend.labeling.controls.number import Number
from backend.labeling.controls.pairwise import Pairwise
from backend.labeling.controls.ranker import Ranker
from backend.labeling.controls.rating import Rating
from backend.labeling.controls.rectangle import Rectangle, RectangleLabels
from backend.labeling.controls.taxonomy import Taxonomy
from backend.labeling.controls.textarea import TextArea

SUPPORTED: dict[str, type[Control]] = {
    control.tag: control
    for control in (
        *(Choices, DateTime, HyperTextLabels, Labels, Number, Pairwise, ParagraphLabels, Ranker, Rating),
        *(Rectangle, RectangleLabels, Taxonomy, TextArea),
    )
}

__all__ = ["SUPPORTED", "Control", "Decoded", "Option", "Span"]
