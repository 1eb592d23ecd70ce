"""What tells of a release tells of the same one."""

import re
from pathlib import Path

import pytest

import robustreg

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("CHANGELOG.md", r"^## \[(\d[^\]]*)\] - (\S+)$"),
        ("CITATION.cff", r"^version: (\S+)\ndate-released: (\S+)$"),
    ],
)
def test_version_and_date(file, line):
    text = (ROOT / file).read_text(encoding="utf-8")
    version, date = re.search(line, text, re.MULTILINE).groups()
    assert version == robustreg.__version__
    newest = re.search(r"^## \[\d.*- (\S+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert date == newest[1]
