"""The figures: what is drawn is the ledger's, and single observations look like what they are."""

import json
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime

import pytest
from matplotlib.collections import LineCollection
from matplotlib.container import BarContainer

from cudagraph_lab import REPOSITORY
from cudagraph_lab.figures.draw import FIGURES, PAPER, draw_figures, to_svg
from cudagraph_lab.ledger.build import Ledger
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.records.record import read_record
from cudagraph_lab.report.page import inline_svg

RECORD = REPOSITORY / "resources" / "datasets" / "l4-published" / "runs" / "graphs" / "rep1.json"
ARM = {
    "status": "ok",
    "reason": None,
    "purpose": "timed",
    "engine_args": {},
    "repeats": 3,
    "resolved": None,
    "warnings": [],
}


def dataset(name="made", **other):
    """A data set of the arms eager and graphs; fields that do not matter here are the L4's."""
    environment = read_record(RECORD, "l4-published").environment
    fields = {
        "name": name,
        "title": f"Set {name}",
        "kind": "measured",
        "arms": {"eager": ARM, "graphs": ARM},
        "batch_sizes": [1, 8, 9, 64],
        "contrasts": {"bundle": {"numerator": "graphs", "denominator": "eager", "note": ""}},
        **{key: [] for key in ("commit", "hosts", "order", "notes", "outputs")},
        **dict.fromkeys(("output_tokens", "max_model_len", "iterations", "warmups"), 1),
        **dict.fromkeys(("model", "weights", "source"), "x"),
        "files": {},
        "logs": {},
    }
    known = json.loads(environment.model_dump_json())
    for field, facts in Dataset.model_fields.items():
        if facts.is_required():
            fields.setdefault(field, known.get(field))
    return Dataset.model_validate(fields | other)


def number(name, dataset="made", **other):
    fields = {
        "id": name,
        "dataset": dataset,
        "unit": "x",
        "n": 3,
        "low": None,
        "high": None,
        "method": None,
        "note": None,
        "missing": None,
        "predictions": [],
        "unpredicted": None,
        "origin": {"rule": "build_ledger", "files": []},
    }
    return fields | other


def ledger(datasets, numbers):
    return Ledger.model_validate(
        {
            "schema_version": 1,
            "headline": "bundle",
            "measured": None,
            "absent": [],
            "datasets": datasets,
            "numbers": numbers,
        }
    )


def predicted(low, high):
    return {
        "id": "me/said",
        "source": "somebody",
        "value": None,
        "low": low,
        "high": high,
        "in_sample": False,
        "post_hoc": False,
        "verdict": "confirmed",
        "settle": None,
    }


MEASURED = [
    number("ratio/bundle/b1", value=4.0, low=3.0, high=5.0, predictions=[predicted(2.5, 5.5)]),
    number("ratio/bundle/b8", value=3.0, low=2.5, high=3.5),
    number("ratio/bundle/b9", value=2.0, n=1),
    number("ratio/bundle/b64", value=None, n=0, missing="not run"),
]


def drawn(numbers, name="speed-up", datasets=None):
    return dict(zip(FIGURES, draw_figures(ledger(datasets or [dataset()], numbers)), strict=True))[
        name
    ]


def test_points_are_the_ledgers_and_single_observations_are_hollow():
    _, figure = drawn(MEASURED)
    points = {
        float(line.get_ydata()[0]): line.get_markerfacecolor()
        for line in figure.axes[0].get_lines()
        if len(line.get_xdata()) == 1
        and line.get_linestyle() == "None"
        and line.get_marker() == "o"
    }
    assert list(points) == [4.0, 3.0, 2.0]
    assert [colour == PAPER for colour in points.values()] == [False, False, True]


def test_error_bars_are_intervals_and_stand_only_where_there_are_any():
    _, figure = drawn(MEASURED)
    bars = [
        tuple(segment[:, 1])
        for collection in figure.axes[0].collections
        if isinstance(collection, LineCollection)
        for segment in collection.get_segments()
    ]
    assert bars == [(3.0, 5.0), (2.5, 3.5)]


def test_what_was_predicted_is_shaded_from_bound_to_bound():
    _, figure = drawn(MEASURED)
    bands = [c for c in figure.axes[0].collections if not isinstance(c, LineCollection)]
    (band,) = bands
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (2.5, 5.5)
    assert band.get_alpha() < 0.5


def test_the_axis_has_the_batch_sizes_that_were_run_on_a_binary_scale():
    _, figure = drawn(MEASURED)
    axis = figure.axes[0].xaxis
    assert list(axis.get_majorticklocs()) == [1, 8, 9]
    assert axis.get_transform().base == 2
    wide = [number(f"ratio/bundle/b{b}", value=2.0) for b in (32, 33, 64)]
    _, figure = drawn(wide, datasets=[dataset(batch_sizes=[1, 32, 33, 64])])
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["32", "33", "64"]
    wide.append(number("ratio/bundle/b1", value=2.0))
    _, figure = drawn(wide, datasets=[dataset(batch_sizes=[1, 32, 33, 64])])
    # Labels that would touch: the tick stays, the label goes.
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["1", "32", "", "64"]


def test_the_finding_is_said_in_words_with_its_interval():
    drawing, _ = drawn(MEASURED)
    assert "4.0× (3.0 to 5.0) at batch 1" in drawing.alt
    assert "2× (single observation) at batch 9" in drawing.alt
    assert drawing.rows == [
        (["batch 1"], [("made", "ratio/bundle/b1")]),
        (["batch 8"], [("made", "ratio/bundle/b8")]),
        (["batch 9"], [("made", "ratio/bundle/b9")]),
    ]


@pytest.mark.parametrize("datasets", [[], [dataset()]], ids=["no data set", "no number"])
def test_where_there_is_nothing_to_draw_the_figure_says_so(datasets):
    for drawing, figure in draw_figures(ledger(datasets, [])):
        assert drawing.rows == []
        assert drawing.alt
        assert drawing.alt in to_svg(figure)


def test_step_times_are_drawn_in_milliseconds():
    numbers = [number("step/eager/b1", value=0.004, unit="s"), number("step/eager/b8", value=0.008)]
    _, figure = drawn(numbers, "step-time")
    (line,) = [li for li in figure.axes[0].get_lines() if len(li.get_xdata()) == 2]
    assert list(line.get_ydata()) == [4.0, 8.0]
    assert figure.axes[0].get_ylabel() == "ms a step"


def test_phases_add_up_to_import_and_boot():
    spans = {
        "import": 20.0,
        "boot": 16.0,
        "device": 1.0,
        "load": 2.0,
        "profile": 5.0,
        "compile_cold": 4.0,
        "compile_warm": 1.0,
        "warm_up": 3.5,
        "capture": 3.25,
        "kv_cache": 0.5,
    }
    repeats = {"compile_cold": 1, "compile_warm": 2}
    numbers = [
        number(f"startup/{span}/graphs", value=seconds, unit="s", n=repeats.get(span, 3))
        for span, seconds in spans.items()
    ]
    drawing, figure = drawn(numbers, "start-up")
    widths = [
        bar.get_width()
        for container in figure.axes[0].containers
        if isinstance(container, BarContainer)
        for bar in container
    ]
    assert sum(widths) == pytest.approx(20.0 + 16.0)
    assert widths[3] == pytest.approx(2.0)  # one cold compilation of 4 s, two warm ones of 1 s
    assert "of which capture 3.25\N{NO-BREAK SPACE}s" in drawing.alt


def test_simulated_data_carry_their_name_into_the_figure():
    drawing, figure = drawn(MEASURED, datasets=[dataset(kind="simulated")])
    assert "SIMULATED" in drawing.alt
    assert "SIMULATED" in to_svg(figure)


def test_svg_is_the_same_for_the_same_ledger_and_holds_text():
    first, second = (to_svg(drawn(MEASURED)[1]) for _ in range(2))
    assert first == second
    assert str(datetime.now(UTC).year) not in first
    assert "<text" in first


def test_hostile_titles_are_text_in_the_figure():
    title = 'a <b> & "c" $\\frac$ \x07 <script>alert(1)</script>'
    _, figure = drawn(MEASURED, datasets=[dataset(title=title)])
    svg = to_svg(figure)
    texts = [element.text or "" for element in ElementTree.fromstring(svg).iter()]  # noqa: S314
    assert any('a <b> & "c" $\\frac$' in text for text in texts)
    assert "<script" not in inline_svg(svg, "f")


def test_inside_a_page_a_figure_takes_the_pages_colours_and_ids_of_its_own():
    svg = inline_svg(to_svg(drawn(MEASURED)[1]), "speed-up")
    assert svg.startswith("<svg")
    assert "://" not in svg
    assert "#222222" not in svg
    assert "currentColor" in svg
    assert "var(--card)" in svg
    used = {part.split('"')[0] for part in svg.split('href="#')[1:]}
    used |= {part.split(")")[0] for part in svg.split("url(#")[1:]}
    assert used
    assert all(f'id="{name}"' in svg and name.startswith("speed-up-") for name in used)
