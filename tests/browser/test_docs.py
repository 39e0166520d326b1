"""docs/lab_report.html is what the workflow makes of the shipped records today."""

import re

import pytest

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def differences(ours, theirs):
    """The first places at which two pages differ by more than a processor's last digits."""
    pieces = [
        list(zip(NUMBER.split(t), [*NUMBER.findall(t), "0"], strict=True)) for t in (ours, theirs)
    ]
    if len(pieces[0]) != len(pieces[1]):
        return [f"{len(pieces[0])} numbers against {len(pieces[1])}"]
    return [
        f"…{words[-60:]}{number} against …{other_words[-60:]}{other}"
        for (words, number), (other_words, other) in zip(*pieces, strict=True)
        if words != other_words or float(number) != pytest.approx(float(other), rel=1e-9, abs=2e-6)
    ][:5]


def test_the_example_is_what_is_rendered_today(repository, report):
    example = repository / "docs" / "lab_report.html"
    assert example.stat().st_size < 1_500_000
    ours, theirs = report.read_text("utf-8"), example.read_text("utf-8")
    found = [] if ours == theirs else differences(ours, theirs)
    assert not found, f"docs/lab_report.html is old, run `make docs`: {found}"


@pytest.mark.parametrize(
    ("old", "new"), [("4.6", "4.7"), ("Leave graphs on", "Leave graphs off"), ("2.523<", "2.524<")]
)
def test_a_changed_word_or_number_would_be_found(report, old, new):
    text = report.read_text("utf-8")
    assert old in text
    assert differences(text, text.replace(old, new, 1))


def test_the_picture_is_a_png_of_the_first_screen(repository):
    header = (repository / "docs" / "report.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(header[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (1280, 900)
