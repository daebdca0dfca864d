"""What a labeling config means: its controls, its objects, and how a value becomes a region. Pure: no I/O.

One file a control tag in `controls/`, one file an object tag in `objects/`; `config.py` puts them together and
`spans.py` finds quoted text.
"""
