"""Numbers that another data set has better are not told without it; what is not seen is said."""

from tests.report_builders import (
    BUNDLE,
    make_dataset,
    make_ledger,
    make_number,
    ratio,
    told,
)

A_A = {"noise": {"numerator": "eager", "denominator": "eager", "role": "a_a"}}


def text_of(datasets, numbers):
    return told(make_ledger(datasets, numbers))[1].replace("\N{NO-BREAK SPACE}", " ")


def step(dataset, arm, value):
    return make_number(f"step/{arm}/b1", dataset, value=value, unit="s")


def profile_and_turns(**turns):
    datasets = [make_dataset("apart"), make_dataset("turns", **turns)]
    numbers = [
        step("apart", "eager", 0.009), step("apart", "graphs", 0.002),
        step("turns", "eager", 0.006), step("turns", "graphs", 0.0015),
        *(make_number(f"profile/device_busy_s_per_step/{arm}/b1", "apart", value=0.0005, unit="s")
          for arm in ("eager", "graphs")),
    ]  # fmt: skip
    return text_of(datasets, numbers)


def test_a_profiled_step_is_that_of_the_arms_in_turn_where_there_is_one():
    text = profile_and_turns(measured="in_turn")
    assert "Set turns, batch 1: a step of `eager` takes 6 ms. The GPU works for 0.5 ms" in text
    assert "a step of `eager` takes 9 ms" in profile_and_turns()
    assert "a step of `eager` takes 9 ms" in profile_and_turns(
        measured="in_turn", device="NVIDIA H100"
    )


def paid(dataset, noise):
    return [
        make_number("break_even/steps/warm/b1", dataset, value=900, unit="steps"),
        make_number("saved_ms_per_step/b1", dataset, value=6.5, unit="ms"),
        make_number("ratio/noise/b1", dataset, value=1.2, low=noise, high=1.4),
    ]


def test_where_an_arm_differs_from_itself_the_saving_in_turn_stands_beside():
    apart = make_dataset("apart", contrasts=BUNDLE | A_A)
    turns = make_dataset("turns", measured="in_turn")
    saved = make_number("saved_ms_per_step/b1", "turns", value=4.75, unit="ms")
    text = text_of([apart, turns], [*paid("apart", 1.1), saved])
    assert "Set apart: at batch 1 an arm differs from itself by more than chance" in text
    assert "With the arms in turn a step saves 4.75 ms at batch 1." in text
    assert "a step saves 4.75" not in text_of([apart, turns], [*paid("apart", 0.9), saved])
    assert "a step saves 4.75" not in text_of([apart], paid("apart", 1.1))


def test_random_weights_and_minutes_are_said():
    times = {"first_measured_at": "2026-11-25T10:00:00+00:00",
             "last_measured_at": "2026-11-25T10:18:20+00:00"}  # fmt: skip
    made = make_dataset(weights="dummy", **times)
    assert made.minutes is not None
    text = text_of([made], [ratio(1, 2.0, 1.8, 2.2)])
    assert "What it cannot see:** trained weights" in text
    assert "2 arms within 18 minutes" in text
    assert "2026-11-25, within 18 min" in text
    assert "trained weights" not in text_of([make_dataset(weights="hub")], [])
