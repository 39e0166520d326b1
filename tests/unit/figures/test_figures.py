"""The figures: what is drawn is the ledger's, and single observations look like what they are."""

import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from importlib import import_module

import pytest
from matplotlib.collections import LineCollection
from matplotlib.container import BarContainer

from cudagraph_lab import REPOSITORY
from cudagraph_lab.figures.catalogue import FIGURES
from cudagraph_lab.figures.colours import CONTEXT, colour_of
from cudagraph_lab.figures.draw import draw_figure, draw_figures, to_svg
from cudagraph_lab.figures.style import PAPER, mark_of
from cudagraph_lab.ledger.index import make_index
from cudagraph_lab.report.page import inline_svg
from tests.report_builders import BUNDLE, make_dataset, make_judged, make_ledger, make_number


def predicted(low, high):
    return make_judged("confirmed", low=low, high=high)


MEASURED = [
    make_number("ratio/bundle/b1", value=4.0, low=3.0, high=5.0, predictions=[predicted(2.5, 5.5)]),
    make_number("ratio/bundle/b8", value=3.0, low=2.5, high=3.5),
    make_number("ratio/bundle/b9", value=2.0, n=1),
    make_number("ratio/bundle/b64", value=None, n=0, missing="not run"),
]


def drawn(numbers, name="speed-up", datasets=None):
    return draw_figure(make_index(make_ledger(datasets or [make_dataset()], numbers)), name)


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


def test_what_was_predicted_is_dotted_from_bound_to_bound():
    _, figure = drawn(MEASURED)
    dotted = [
        tuple(line.get_ydata())
        for line in figure.axes[0].get_lines()
        if len(line.get_ydata()) == 2 and line.get_marker() == "_"
    ]
    assert dotted == [(2.5, 5.5)]


def test_behind_the_lines_lies_what_an_arm_differs_from_itself():
    sides = {"numerator": "eager", "denominator": "eager", "role": "a_a"}
    noise = [make_number("ratio/noise/b1", value=1.0, low=0.8, high=1.3)]
    noise += [make_number("ratio/noise/b8", value=1.0, low=0.9, high=1.1)]
    both = [make_dataset(contrasts=BUNDLE | {"noise": sides})]
    _, figure = drawn([*MEASURED, *noise], datasets=both)
    (band,) = [c for c in figure.axes[0].collections if not isinstance(c, LineCollection)]
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (0.8, 1.3)


def test_the_axis_has_the_batch_sizes_that_were_run_on_a_binary_scale():
    _, figure = drawn(MEASURED)
    axis = figure.axes[0].xaxis
    assert list(axis.get_majorticklocs()) == [1, 8, 9]
    assert axis.get_transform().base == 2
    wide = [make_number(f"ratio/bundle/b{b}", value=2.0) for b in (32, 40, 64)]
    _, figure = drawn(wide, datasets=[make_dataset(batch_sizes=[1, 32, 40, 64])])
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["32", "40", "64"]
    wide += [make_number(f"ratio/bundle/b{b}", value=2.0) for b in (1, 33)]
    _, figure = drawn(wide, datasets=[make_dataset(batch_sizes=[1, 32, 40, 64])])
    # Labels that would touch: the tick stays, the label goes.
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["1", "32", "", "", "64"]


def test_the_finding_is_said_in_words_with_its_interval():
    drawing, _ = drawn(MEASURED)
    assert "4.0× (3.0 to 5.0) at batch 1" in drawing.finding
    assert "2× (single observation) at batch 9" in drawing.finding
    assert drawing.numbers == [("made", f"ratio/bundle/b{b}") for b in (1, 8, 9)]
    assert drawing.title == FIGURES["speed-up"]


@pytest.mark.parametrize("datasets", [[], [make_dataset()]], ids=["no data set", "no number"])
def test_where_there_is_nothing_to_draw_the_figure_says_so(datasets):
    for drawing, figure in draw_figures(make_ledger(datasets, [])):
        assert drawing.numbers == []
        assert drawing.finding
        assert drawing.finding in to_svg(figure)


def test_a_step_is_drawn_to_scale_in_milliseconds():
    numbers = [
        make_number("step/eager/b1", value=0.004, unit="s"),
        make_number("profile/device_busy_s_per_step/eager/b1", value=0.0005, unit="s", n=1),
    ]
    drawing, figure = drawn(numbers, "step")
    assert [bar.get_width() for bar in figure.axes[0].patches] == [4.0, 0.5]
    assert "in which the GPU works 0.5" in drawing.finding


def test_a_device_has_the_same_colour_in_every_figure_and_context_is_grey():
    datasets = [
        make_dataset("a", device="NVIDIA L4"),
        make_dataset("b", device="NVIDIA H100"),
        make_dataset("c", device="NVIDIA L4", model="y"),
    ]
    index = make_index(make_ledger(datasets, []))
    colours = [colour_of(index, d) for d in datasets]
    assert colours[0] == colours[2] != colours[1]
    assert mark_of(index, datasets[0]) == mark_of(index, datasets[1]) != mark_of(index, datasets[2])
    own = make_index(make_ledger(datasets, [], measured="b"))
    assert [colour_of(own, d) == CONTEXT for d in datasets] == [True, False, True]


def test_data_sets_of_one_device_and_model_have_lines_of_their_own():
    datasets = [make_dataset("a"), make_dataset("b"), make_dataset("c", device="NVIDIA H100")]
    numbers = [
        make_number(f"ratio/bundle/b{size}", name, value=2.0) for name in "abc" for size in (1, 8)
    ]
    drawing, figure = drawn(numbers, datasets=datasets)
    lines = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 2]
    kinds = [
        (line.get_color(), line.get_linestyle()) for line in lines if line.get_marker() == "None"
    ]
    assert len(set(kinds[-3:])) == 3
    assert all(name in drawing.finding for name in ("Set a: ", "Set b: "))


def test_a_published_step_that_no_device_can_take_is_crossed_out():
    published = [make_dataset(kind="transcribed")]
    numbers = [make_number(f"ratio/bundle/b{b}", value=v, n=1) for b, v in ((1, 2.5), (8, 1.5))]
    left_out = make_number("backtest/p", "outlook", value=2.5, n=1)

    def crossed(numbers, datasets):
        _, figure = drawn(numbers, datasets=datasets)
        return [
            tuple(line.get_ydata())
            for line in figure.axes[0].get_lines()
            if line.get_marker() == "x"
        ]

    assert crossed([*numbers, left_out], published) == [(2.5,)]
    assert crossed(numbers, published) == []
    assert crossed([*numbers, left_out], [make_dataset()]) == []


def test_curves_over_size_say_where_eager_stops_losing():
    key = "slow/h200"
    numbers = [
        make_number(f"curve/{key}/{model}/tp{tp}/b1", "outlook", value=v, low=v / 1.2, high=v * 1.2)
        for tp in (1, 2)
        for model, v in (("opt-125m", 4.0), ("llama-70b", 1.0 * tp))
    ]
    for part, arm, v in (
        ("host", "eager", 0.03),
        ("host", "graphs", 0.002),
        ("gpu", "graphs", 0.01),
    ):
        for model in ("opt-125m", "llama-70b"):
            numbers.append(
                make_number(f"curve_{part}_s/{arm}/{key}/{model}/tp1/b1", "outlook", value=v,
                            low=v / 2, high=v * 2, unit="s")
            )  # fmt: skip
    numbers.append(make_number("curve_launch_us/slow", "outlook", value=29.4, unit="us"))
    numbers.append(make_number(f"curve_crossing/{key}/tp1/b1", "outlook", value=60.0, unit="B"))
    drawing, figure = drawn(numbers, "crossing")
    assert "29 µs a launch, 1 H200: eager loses less than a tenth from 60" in drawing.finding
    assert "2 H200: 2.00× (1.67 to 2.40) at the largest model shown" in drawing.finding
    above, below = figure.axes
    assert [tick.get_text() for tick in below.get_xticklabels()] == ["125M", "71B"]
    assert above.collections and below.collections
    assert "No host could be calibrated" in drawn([], "crossing")[0].finding


def test_more_data_sets_than_a_panel_holds_get_a_panel_each():
    datasets = [make_dataset(f"d{k}", device=f"NVIDIA G{k}") for k in range(8)]
    numbers = [make_number("ratio/bundle/b1", f"d{k}", value=2.0 + k) for k in range(8)]
    _, figure = drawn(numbers, datasets=datasets)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [f"G{k}" for k in range(8)]
    _, figure = drawn(numbers[:4], datasets=datasets[:4])
    assert len(figure.axes) == 1


def test_sizes_are_drawn_over_their_forecasts():
    names = {"facebook/opt-125m": 4.0, "meta-llama/Llama-3.1-70B": 1.05}
    datasets = [make_dataset(f"d{k}", model=name) for k, name in enumerate(names)]
    said = {"id": "forecast/x", "low": 0.9, "high": 5.0, "value": 2.0}
    numbers = [
        make_number(
            "step_ratio/bundle/b1", f"d{k}", value=value, baselines={"additive": 3.0},
            predictions=[predicted(0.9, 5.0) | said],
        )
        for k, value in enumerate(names.values())
    ]  # fmt: skip
    drawing, figure = drawn(numbers, "sizes", datasets=datasets)
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["125M", "71B"]
    assert axes.collections  # the band of the forecasts
    assert any(line.get_linestyle() == ":" for line in axes.get_lines())
    assert "from 4× for opt-125m to 1.05× for Llama-3.1-70B" in drawing.finding
    drawing, _ = drawn([make_number("ratio/bundle/b1", value=4.0)], "sizes")
    assert "No speed-up of a model of known size" in drawing.finding


def test_every_figure_has_a_question_a_module_and_a_caption_that_asks_it():
    assert len(FIGURES) <= 7
    for name, question in FIGURES.items():
        assert question.endswith("?")
        caption = (REPOSITORY / "report" / "captions" / f"{name}.rst").read_text("utf-8")
        assert caption.startswith(f"{question} ")
        module = import_module(f"cudagraph_lab.figures.plots.{name.replace('-', '_')}")
        assert callable(module.draw)


def test_phases_add_up_to_the_boot_without_the_import():
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
        make_number(f"startup/{span}/graphs", value=seconds, unit="s", n=repeats.get(span, 3))
        for span, seconds in spans.items()
    ]
    drawing, figure = drawn(numbers, "start-up")
    widths = [
        bar.get_width()
        for container in figure.axes[0].containers
        if isinstance(container, BarContainer)
        for bar in container
    ]
    assert sum(widths) == pytest.approx(16.0)
    assert widths[1] == pytest.approx(2.0)  # one cold compilation of 4 s, two warm ones of 1 s
    assert "of which capture 3.25\N{NO-BREAK SPACE}s" in drawing.finding


def test_simulated_data_carry_their_name_into_the_figure():
    drawing, figure = drawn(MEASURED, datasets=[make_dataset(kind="simulated")])
    assert "SIMULATED" in drawing.finding
    assert "SIMULATED" in to_svg(figure)


def test_svg_is_the_same_for_the_same_ledger_and_holds_text():
    first, second = (to_svg(drawn(MEASURED)[1]) for _ in range(2))
    assert first == second
    assert str(datetime.now(UTC).year) not in first
    assert "<text" in first


def test_hostile_titles_are_text_in_the_figure():
    title = '<b>&"c"$\\frac$\x07 <script>alert(1)</script>'
    _, figure = drawn(MEASURED, datasets=[make_dataset(device=title)])
    svg = to_svg(figure)
    texts = [element.text or "" for element in ElementTree.fromstring(svg).iter()]  # noqa: S314
    assert any('<b>&"c"$\\frac$' in text for text in texts)
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


def test_several_gpus_have_a_panel_of_their_own():
    ranks = {"one": 1, "two": 2, "other": 2}
    datasets = [
        make_dataset(
            name, model="meta-llama/Llama-3.1-70B", device="NVIDIA H200", tensor_parallel_size=n
        )
        for name, n in ranks.items()
    ]
    numbers = [
        make_number("step_ratio/bundle/b1", name, value=1.0 + n, predictions=[predicted(1.5, 3.5)])
        for name, n in ranks.items()
    ]
    drawing, figure = drawn(numbers, "sizes", datasets=datasets)
    sizes, several = figure.axes
    # What several GPUs share is no row of the models of one GPU.
    assert [tick.get_text() for tick in sizes.get_xticklabels()] == ["71B"]
    assert [tick.get_text() for tick in several.get_xticklabels()] == ["1", "2"]
    marks = [line.get_xdata()[0] for line in several.get_lines() if line.get_marker() == "o"
             and len(line.get_xdata())]  # fmt: skip
    assert marks == [1, 2, 2]
    assert "2× on 1, 3× on 2, 3× on 2" in drawing.finding
