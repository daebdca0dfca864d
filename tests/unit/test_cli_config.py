"""`prelabel config`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.samples import ALL_REFUSED, SENTIMENT
from tests.unit.conftest import Run


def test_what_becomes_of_each_control(prelabel: Run, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    good.write_text(SENTIMENT, encoding="utf-8-sig")
    bad.write_text(ALL_REFUSED, encoding="utf-8")
    code, out, err = prelabel("config", str(good))
    assert (code, err) == (0, "")
    assert "1 of 1 answered" in " ".join(out.split())
    assert "Choices sentiment" in " ".join(out.split())
    code, out, err = prelabel("config", str(good), str(bad), "--json")
    told = json.loads(out)
    assert (code, err) == (1, "")
    assert told[str(good)]["answered"] == 1
    assert told[str(bad)]["answered"] == 0
    assert told[str(bad)]["controls"][0]["refused"]


def test_a_file_that_cannot_be_read_is_one_sentence(prelabel: Run, tmp_path: Path) -> None:
    binary = tmp_path / "image.png"
    binary.write_bytes(b"\x89PNG\xff\xfe")
    for path in (binary, tmp_path / "nowhere.xml"):
        code, out, err = prelabel("config", str(path))
        assert (code != 0, out) == (True, "")
        assert str(path) in err.replace("\n", "")
        assert "Traceback" not in err
