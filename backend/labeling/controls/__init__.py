"""One file a control tag. `SUPPORTED` maps a tag, as written in a labeling config, to its class.

A new control is a file here and a row in `SUPPORTED`; the contract suite (`tests/contract/test_controls.py`)
then runs over it.
"""

from backend.labeling.controls.base import Control, Decoded, Option
from backend.labeling.controls.choices import Choices
from backend.labeling.controls.datetime import DateTime
from backend.labeling.controls.labels import Labels, Span
from backend.labeling.controls.number import Number
from backend.labeling.controls.pairwise import Pairwise
from backend.labeling.controls.rating import Rating
from backend.labeling.controls.taxonomy import Taxonomy
from backend.labeling.controls.textarea import TextArea

SUPPORTED: dict[str, type[Control]] = {
    c.tag: c for c in (Choices, DateTime, Labels, Number, Pairwise, Rating, Taxonomy, TextArea)
}

__all__ = ["SUPPORTED", "Control", "Decoded", "Option", "Span"]
