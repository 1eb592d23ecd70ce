"""Every public name is documented as numpydoc asks, with an example and an entry in the reference;
links lead on.
"""

import inspect
import re
from pathlib import Path

import pytest
from numpydoc.validate import validate

import robustreg

# The one-line style of summaries, and sections that not each of them needs.
LEFT_OUT = {"GL01", "SA01", "EX01", "ES01", "SA04"}
ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("docs/how-it-works/*.md")]
NAMES = sorted(set(robustreg.__all__) - {"__version__"})


def members():
    for name in NAMES:
        yield f"robustreg.{name}"
        thing = getattr(robustreg, name)
        if inspect.isclass(thing):
            own = [
                key
                for key, value in vars(thing).items()
                if not key.startswith("_") and callable(value)
            ]
            own += [key for key, value in vars(thing).items() if isinstance(value, classmethod)]
            own = [key for key in own if getattr(thing, key).__module__.startswith("robustreg")]
            yield from (f"robustreg.{name}.{key}" for key in own)


@pytest.mark.parametrize("name", list(members()))
def test_numpydoc_finds_nothing(name):
    errors = [error for error in validate(name)["errors"] if error[0] not in LEFT_OUT]
    assert not errors


@pytest.mark.parametrize("name", NAMES)
def test_an_example_for_every_public_name(name):
    assert ">>>" in inspect.getdoc(getattr(robustreg, name))


def test_the_reference_has_every_public_name():
    text = (ROOT / "docs" / "api.md").read_text()
    for name in NAMES:
        assert f"robustreg.{name}\n" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page):
    for target, _, heading in re.findall(r"\]\(([^)#:]*)(#([^)]+))?\)", page.read_text()):
        file = (page.parent / target) if target else page
        assert file.exists() or target.startswith("gallery/")  # made by the build, which follows it
        if heading and file.exists():
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            assert heading in [
                re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in headings
            ]


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("examples/plot_*.py")), ids=lambda file: file.stem
)
def test_an_example_of_the_gallery_ends_in_a_picture(file):
    assert file.read_text().endswith("plt.show()\n")
