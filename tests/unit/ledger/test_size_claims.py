"""The lab's claim of small models and small batches, judged over the sizes that were measured."""

from cudagraph_lab.ledger.index import make_index
from cudagraph_lab.ledger.size_claims import size_claims
from tests.report_builders import make_dataset, make_ledger, make_number

MODELS = {"small": "facebook/opt-125m", "large": "meta-llama/Llama-3.1-8B"}


def claims_of(speed_ups, n=3):
    """`speed_ups`: by model and batch size a value with its interval."""
    datasets, numbers = [], []
    for name, by_batch in speed_ups.items():
        datasets.append(make_dataset(name, model=MODELS[name], series="sizes"))
        for batch, (value, low, high) in by_batch.items():
            number = f"step_ratio/bundle/b{batch}"
            numbers.append(make_number(number, name, value=value, low=low, high=high, n=n))
    made = size_claims(make_index(make_ledger(datasets, numbers)))
    return {str(one.id): (one.value, one.predictions[0].verdict) for one in made}


def claims(small, large, n=3):
    return claims_of({"small": small, "large": large}, n)


HIGH, MIDDLE, LOW = (4.0, 3.8, 4.2), (2.0, 1.9, 2.1), (1.2, 1.1, 1.3)
SIZE, BATCH = "sizes/falls_with_size/l4", "sizes/falls_with_batch/l4"


def test_a_fall_beyond_the_intervals_confirms_both():
    found = claims({1: HIGH, 64: MIDDLE}, {1: MIDDLE, 64: LOW})
    assert found == {SIZE: (True, "confirmed"), BATCH: (True, "confirmed")}


def test_one_batch_size_at_which_the_large_model_gains_more_refutes_the_size():
    found = claims({1: HIGH, 64: LOW}, {1: HIGH, 64: MIDDLE})
    assert found[SIZE] == (False, "refuted")


def test_one_model_that_gains_more_at_its_largest_batch_refutes_the_batch():
    found = claims({1: HIGH, 64: MIDDLE}, {1: LOW, 64: MIDDLE})
    assert found[BATCH] == (False, "refuted")


def test_intervals_that_overlap_leave_the_claim_open():
    wide = (1.8, 1.0, 4.5)
    found = claims({1: HIGH, 64: MIDDLE}, {1: wide, 64: wide})
    assert {verdict for _, verdict in found.values()} == {"inconclusive"}


def test_a_single_process_settles_a_pair_beside_an_interval_and_two_of_them_do_not():
    bare = {1: (1.5, None, None), 64: (1.2, None, None)}
    found = claims({1: HIGH, 64: MIDDLE}, bare, n=1)
    assert found == {SIZE: (True, "confirmed"), BATCH: (True, "inconclusive")}


def test_several_processes_without_an_interval_settle_nothing():
    bare = {1: (1.5, None, None), 64: (1.2, None, None)}
    assert claims({1: HIGH, 64: MIDDLE}, bare, n=2)[SIZE] == (True, "inconclusive")


def test_one_size_on_a_device_is_no_claim():
    assert claims_of({"small": {1: HIGH, 64: MIDDLE}}) == {}
