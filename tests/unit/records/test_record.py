"""Records are believed only when they are whole, unchanged and where they belong."""

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cudagraph_lab.errors import LabError
from cudagraph_lab.records.call import Call
from cudagraph_lab.records.store import read_record, write_record

SHARED_TMP = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def refused(path, dataset=None):
    """The one line in which reading ends; it names the file and the mend."""
    with pytest.raises(LabError) as caught:
        read_record(path, dataset)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert "move it away, then run the same command again to measure it anew" in message
    return message


def test_every_shipped_record_is_read_and_written_back_the_same(shipped, tmp_path):
    paths = sorted(shipped.glob("*/runs/*/rep*.json"))
    assert len(paths) > 20
    for path in paths:
        record = read_record(path, path.parents[2].name)
        again = tmp_path / record.arm / path.name
        write_record(record, again)
        # Fields that are younger than a record have their defaults in the copy.
        assert read_record(again, record.dataset) == record


def test_a_call_says_how_fast_it_was():
    assert Call(role="timed", seconds=0.5, tokens=8).throughput == 16
    assert Call(role="timed", seconds=None, tokens=None, tokens_per_s=980.3).throughput == 980.3
    with pytest.raises(ValueError, match="needs seconds and tokens"):
        Call(role="timed", seconds=0.5, tokens=None)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b"null", b'{"record": {}}', b"\xff\xfe", b'{"sha256": 1}']
)
def test_what_is_no_record_is_refused(tmp_path, content):
    path = tmp_path / "rep1.json"
    path.write_bytes(content)
    assert "not a record of a run" in refused(path)


@SHARED_TMP
@given(st.data())
def test_a_truncated_record_is_refused_wherever_it_ends(small_record, data):
    path = small_record()
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    refused(path)


@SHARED_TMP
@given(st.data())
def test_a_changed_number_is_refused(small_record, data):
    path = small_record()
    text = path.read_text()
    digits = [i for i, c in enumerate(text) if c.isdigit() and i > text.index('"record"')]
    position = data.draw(st.sampled_from(digits))
    # No leading zero, which would not be JSON, and never the digit that is there.
    other = data.draw(st.sampled_from([c for c in "123456789" if c != text[position]]))
    path.write_text(text[:position] + other + text[position + 1 :])
    refused(path)


def test_a_changed_checksum_is_refused(small_record):
    path = small_record()
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"sha256": "0" * 64}))
    assert "checksum" in refused(path)


def test_a_record_of_another_data_set_is_refused_by_both_names(small_record):
    path = small_record()
    assert read_record(path, "small").dataset == "small"
    message = refused(path, "other")
    assert "'small'" in message
    assert "'other'" in message


@pytest.mark.parametrize("name", ["graphs/rep1.json", "eager/rep2.json"])
def test_a_record_under_another_name_is_refused(small_record, name):
    path = small_record()
    moved = path.parents[1] / name
    moved.parent.mkdir(exist_ok=True)
    path.rename(moved)
    assert "holds eager rep1" in refused(moved)


def _set(dotted, value):
    def edit(body):
        *parents, last = dotted.split(".")
        for part in parents:
            body = body[int(part)] if part.isdigit() else body[part]
        body[int(last) if last.isdigit() else last] = value

    return edit


@pytest.mark.parametrize(
    ("where", "value", "why"),
    [
        ("extra", 1, "extra: Extra inputs"),
        ("cells.0.calls.1.extra", 1, "cells.0.calls.1.extra"),
        ("schema_version", 3, "schema_version"),
        ("arm", "../eager", "arm"),
        ("repeat", 0, "repeat"),
        ("cells.0.calls.1.seconds", 0, "cells.0.calls.1.seconds"),
        ("cells.0.calls.1.seconds", -1.0, "cells.0.calls.1.seconds"),
        ("cells.0.calls.1.seconds", math.nan, "cells.0.calls.1.seconds"),
        ("cells.0.calls.1.seconds", math.inf, "cells.0.calls.1.seconds"),
        ("cells.0.calls.1.seconds", None, "needs seconds and tokens"),
        ("cells.1.calls.1.tokens", 31, "batch 4: 31 tokens came back, 32 were asked"),
        ("cells.1.calls.0.tokens", 31, "batch 4: 31 tokens came back, 32 were asked"),
        ("request.workload.batch_sizes", [1, 8], "cells [1, 4] do not match"),
        ("request.iterations", 2, "1 timed calls, 2 were asked"),
        ("status", "failed", "says why in `failure`"),
        ("failure", {"kind": "boot", "reason": "x", "log_tail": []}, "says why in `failure`"),
        ("environment.platform", "rocm", "environment.platform"),
    ],
)
def test_an_implausible_record_is_refused_with_the_reason(small_record, where, value, why):
    assert why in refused(small_record(_set(where, value)))


def test_a_failed_run_has_a_reason_and_no_cells_to_check(small_record):
    failure = {"kind": "out_of_memory", "reason": "no memory", "log_tail": ["a line"]}
    record = read_record(small_record(status="failed", failure=failure, cells=[]))
    assert record.failure is not None
    assert record.failure.kind == "out_of_memory"


def test_published_records_may_know_less(small_record):
    def publish(body):
        body["kind"] = "transcribed"
        for cell in body["cells"]:
            cell["calls"] = [
                {"role": "timed", "seconds": None, "tokens": None, "tokens_per_s": 9.5}
            ]

    assert read_record(small_record(publish)).cells[0].timed()[0].throughput == 9.5


def test_fewer_steps_than_tokens_last_no_longer_than_the_call(small_record):
    def decoded(steps, seconds=0.2):
        def edit(body):
            call = body["cells"][0]["calls"][1]
            call |= {"decode_s_per_step": [seconds], "decode_steps": steps}

        return edit

    # Two steps of 0.2 s for seven tokens, in a call of half a second.
    record = read_record(small_record(decoded([2])))
    assert record.cells[0].calls[1].decode_steps == [2]
    assert "decoded longer than the call lasted" in refused(small_record(decoded(None)))
    assert "decoded longer than the call lasted" in refused(small_record(decoded([3])))
    assert "decode_steps has 2 values" in refused(small_record(decoded([1, 1])))
