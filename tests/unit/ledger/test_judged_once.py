"""A claim that several data sets of one device and model share is judged in one of them."""

from cudagraph_lab.ledger.build import in_order
from cudagraph_lab.ledger.judged_once import judged_once
from tests.report_builders import make_dataset, make_judged, make_number

EARLIER, TURNS = make_dataset("earlier", gains_judged_in="turns"), make_dataset("turns")


def claimed(number, dataset, *claims, verdict="inconclusive"):
    said = [make_judged(verdict, claim) for claim in claims]
    return make_number(number, dataset, value=2.0, predictions=said)


def kept(numbers, datasets=(EARLIER, TURNS)):
    return {
        (number.dataset, str(number.id), one.id)
        for number in judged_once(numbers, datasets)
        for one in number.predictions
    }


def test_a_shared_claim_of_a_gain_stays_where_arms_took_turns_at_every_batch_size():
    numbers = [
        claimed("ratio/bundle/b1", "earlier", "a/shared", "a/own"),
        claimed("ratio/bundle/b9", "earlier", "a/shared"),
        claimed("ratio/bundle/b1", "turns", "a/shared", verdict="refuted"),
    ]
    assert kept(numbers) == {
        ("earlier", "ratio/bundle/b1", "a/own"),
        ("turns", "ratio/bundle/b1", "a/shared"),
    }
    emptied = judged_once(numbers, [EARLIER, TURNS])[1]
    assert emptied.unpredicted == "what was predicted of it is judged in turns"
    assert emptied.value == 2.0


def test_what_the_other_could_not_judge_is_judged_here():
    unmeasured = claimed("ratio/bundle/b1", "turns", "a/shared", verdict="not measured")
    here = claimed("ratio/bundle/b1", "earlier", "a/shared")
    assert ("earlier", "ratio/bundle/b1", "a/shared") in kept([here, unmeasured])


def test_other_kinds_of_numbers_and_a_report_without_the_other_are_left_alone():
    start = claimed("capture/seconds", "earlier", "a/start")
    there = claimed("capture/seconds", "turns", "a/start")
    assert len(kept([start, there])) == 2
    here = claimed("ratio/bundle/b1", "earlier", "a/shared")
    assert kept([here], [EARLIER]) == {("earlier", "ratio/bundle/b1", "a/shared")}


def test_a_data_set_whose_gains_are_judged_elsewhere_comes_after_that():
    datasets = [
        make_dataset("company", measured="in_turn", gains_judged_in="turns"),
        make_dataset("turns", measured="in_turn"),
        make_dataset("apart", gains_judged_in="turns"),
    ]
    ordered = in_order([(dataset, None) for dataset in datasets], "bundle", [])
    assert [dataset.name for dataset, _ in ordered] == ["turns", "company", "apart"]
