"""One file an object tag. `SUPPORTED` maps a tag, as written in a labeling config, to its class."""

from backend.labeling.objects.base import ObjectTag
from backend.labeling.objects.chat import Chat
from backend.labeling.objects.hypertext import HyperText
from backend.labeling.objects.image import Image
from backend.labeling.objects.item_list import List
from backend.labeling.objects.paragraphs import Paragraphs
from backend.labeling.objects.pdf import Pdf
from backend.labeling.objects.recording import Audio, AudioPlus, TimeSeries, Video
from backend.labeling.objects.table import Table
from backend.labeling.objects.text import Text

SUPPORTED: dict[str, type[ObjectTag]] = {
    o.tag: o
    for o in (
        *(Text, HyperText, Paragraphs, Chat, List, Table, Image, Pdf),
        *(Audio, AudioPlus, Video, TimeSeries),
    )
}

__all__ = ["SUPPORTED", "ObjectTag"]
