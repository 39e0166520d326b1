"""The bench's own arithmetic: ratios by round, what counts as moved, and the page it writes."""

import pytest

from bench import boots
from bench.generated import DATASET, clone_into, configuration, designed
from bench.results import (
    Figure,
    Part,
    Results,
    compare,
    figure_of_rounds,
    moved,
    read_results,
    write_results,
)
from bench.timing import Run, alternate, in_turn, ratios, run
from cudagraph_lab.design import runs as design
from tests.read_dataset import read_dataset


def figure(value=2.0, low=1.5, high=2.5, **fields):
    return Figure(name="a/b", what="a over b", unit="x", value=value, low=low, high=high, n=3,
                  **fields)  # fmt: skip


def part(*figures, machine=None):
    return Part(command="c", commit="abc", date="2026-05-04T10:00:00+00:00",
                machine=machine or {"cores": 2}, seconds=1.0, figures=list(figures))  # fmt: skip


def test_sides_alternate_and_the_first_round_is_unseen():
    seen: list[str] = []

    def side(name):
        def run() -> Run:
            seen.append(name)
            return Run(float(len(seen)), 0.0, 0.0)

        return run

    runs = alternate({"a": side("a"), "b": side("b")}, 3)
    assert seen == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert [r.seconds for r in runs["a"]] == [3, 6, 7]
    assert ratios(runs["a"], runs["b"]) == [3 / 4, 6 / 5, 7 / 8]
    assert in_turn(["a", "b", "c"], 1) == ["c", "b", "a"]


def test_a_command_is_timed_and_a_failed_one_ends_the_bench(tmp_path):
    done = run(["sleep", "0.05"], tmp_path)
    assert done.seconds >= 0.05
    assert 0 < done.peak_mib < 1000
    with pytest.raises(SystemExit, match="ended with 3\nwhy"):
        run(["sh", "-c", "echo why; exit 3"], tmp_path)


def test_a_figure_is_the_median_of_its_rounds_and_one_round_has_no_spread():
    several = figure_of_rounds("n", "w", "x", [3.0, 1.0, 2.0])
    assert (several.value, several.low, several.high, several.n) == (2.0, 1.0, 3.0, 3)
    one = figure_of_rounds("n", "w", "x", [3.0])
    assert (one.low, one.high, one.n) == (None, None, 1)


@pytest.mark.parametrize(
    ("bound", "target", "met"),
    [("at most", 2, True), ("at most", 1.9, False), ("at least", 2, True),
     ("at least", 2.1, False), (None, None, None)],
)  # fmt: skip
def test_a_target_is_kept_or_missed_by_the_median(bound, target, met):
    assert figure(bound=bound, target=target).met is met


def test_only_what_leaves_the_spread_has_moved():
    assert moved(figure(), figure(value=2.4, low=2.4, high=2.6)) is None
    assert "1.50 times what it was" in moved(figure(), figure(value=3.0, low=2.6, high=3.5))
    assert "0.50 times what it was" in moved(figure(), figure(value=1.0, low=0.9, high=1.4))
    # Without a spread the values themselves are compared.
    assert moved(figure(low=None, high=None), figure(value=2.1, low=None, high=None))


def test_the_comparison_says_what_it_cannot_compare():
    before = Results(parts={"p": part(figure())})
    assert compare(before, {"q": part(figure())}) == ["q: nothing stored to compare with"]
    assert compare(before, {"p": part(figure())}) == ["p: nothing moved beyond its spread"]
    said = compare(before, {"p": part(figure(9.0, 8.0, 10.0), machine={"cores": 4})})
    assert said[0] == "p: the stored results are from another machine"
    assert said[1].startswith("a/b: 2× to 9×")


def test_results_are_read_back_and_the_page_names_what_is_missed(tmp_path):
    missed = figure(bound="at most", target=1, if_missed="it is slow", context={"a s": 1.234})
    results = Results(parts={"p": part(missed, figure(bound="at least", target=1))})
    assert read_results(tmp_path / "results.json") == Results()
    write_results(results, tmp_path / "results.json", tmp_path / "page.md")
    assert read_results(tmp_path / "results.json") == results
    page = (tmp_path / "page.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| a over b")]
    assert rows == [
        "| a over b | 2× (1.5× to 2.5×, n = 3) | at most 1× | **missed** | a 1.23 s |",
        "| a over b | 2× (1.5× to 2.5×, n = 3) | at least 1× | met |  |",
    ]
    assert "- a over b: it is slow" in page


def test_what_the_bench_generates_is_labelled_simulated_and_believed(tmp_path):
    config = configuration()
    for platform, count in (("cpu", 6), ("cuda", 9)):
        records = designed(tmp_path / platform, config, platform)
        assert len(records) == count
        assert DATASET.startswith(design.SIMULATED)
        dataset, table = read_dataset(
            DATASET,
            records,
            {},
            {key: c.model_dump() for key, c in config.contrasts.items()},
            {},
            {},
        )
        assert dataset.kind == "simulated"
        assert set(table["role"]) == {"first", "warmup", "timed"}


def test_a_clone_has_what_git_has_and_the_same_environment(tmp_path):
    clone = clone_into(tmp_path / "clone")
    assert (clone / ".venv").is_symlink()
    assert (clone / "Makefile").stat().st_mtime == (
        (clone / ".venv").resolve().parent / "Makefile"
    ).stat().st_mtime
    assert not (clone / "results").exists()


def test_both_ways_of_booting_give_their_engines_the_same_arguments():
    config = boots.in_turn()
    given = boots.engine_arguments(config)
    assert "dtype" in given
    for arm in ("eager", "compiled"):
        assert (
            given.items()
            <= design.request_of_run(config, "cpu", arm, 1, {"weights": "dummy", "revision": None})[
                "engine_args"
            ].items()
        )
