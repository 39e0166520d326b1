"""Tables and lines that a server prints of its steps: windows, prefixes, doubled lines."""

import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cudagraph_lab.engine.step_log import parse_step_log

HEAD = "(APIServer pid=5) INFO 10-01 10:00:{:02d} [cuda_graph.py:1] "
ROWS = st.dictionaries(
    st.tuples(
        st.integers(1, 2000),
        st.integers(0, 64),
        st.sampled_from(["FULL", "PIECEWISE", "NONE"]),
    ),
    st.integers(1, 10**6),
    min_size=1,
    max_size=6,
)


def table(rows: dict[tuple[int, int, str], int], stars: str, wide: bool) -> list[str]:
    pad = 12 if wide else 1
    titles = ["Unpadded Tokens", "Padded Tokens", "Num Paddings", "Runtime Mode", "Count"]
    cells = [
        [str(tokens), str(tokens + more), str(more), mode, str(count)]
        for (tokens, more, mode), count in rows.items()
    ]
    lines = ["| " + " | ".join(cell.ljust(pad) for cell in row) + " |" for row in [titles, *cells]]
    return [
        f"{stars}CUDAGraph Config Settings:{stars}",
        "",
        "- Mode: FULL_AND_PIECEWISE",
        "- Capture sizes: [1, 2, 4]",
        f"{stars}CUDAGraph Stats:{stars}",
        "",
        lines[0],
        "|-----|-----|",
        *lines[1:],
        "",
    ]


@given(
    st.lists(ROWS, min_size=1, max_size=4),
    st.sampled_from(["", "**"]),
    st.booleans(),
    st.sampled_from(["head", "bare", "json", "k9s", "one message", "json message"]),
    st.booleans(),
)
def test_windows_add_up_in_any_frame(
    windows: list[dict[tuple[int, int, str], int]],
    stars: str,
    wide: bool,
    frame: str,
    doubled: bool,
) -> None:
    lines: list[str] = []
    for second, rows in enumerate(windows):
        body = table(rows, stars, wide)
        head = HEAD.format(second)
        if frame == "head":
            lines += [line for one in body for line in [head + one] * (1 + doubled)]
        elif frame == "bare":
            lines += body
        elif frame == "json":
            lines += [json.dumps({"level": "INFO", "message": one}) for one in body]
        elif frame == "k9s":
            lines += [f"│ {head}{one}     │" for one in body]
        elif frame == "one message":
            lines.append(head + "\n".join(body))
        else:
            lines.append(json.dumps({"message": "\n".join(body)}))
    truth: Counter[tuple[int, int, str | None]] = Counter()
    for rows in windows:
        for (tokens, more, mode), count in rows.items():
            truth[tokens, tokens + more, mode] += count
    found = parse_step_log(lines)
    assert found is not None
    assert found.steps == truth
    assert (found.sizes, found.mode, found.kind) == ((1, 2, 4), "FULL_AND_PIECEWISE", "table")


def test_batchsize_lines_count_from_the_start_and_workers_count_the_same_steps() -> None:
    def line(rank: int, pairs: str) -> str:
        where = f"(Worker_TP{rank} pid=7{rank}) INFO 10-01 10:00:00 [forward_context.py:1] "
        return f"{where}Batchsize forward time stats (batchsize, count, median_time(ms)): [{pairs}]"

    found = parse_step_log(
        [
            line(0, "(8, 100, 5.21), (16, 3, 6.0)"),
            line(1, "(8, 100, 5.22), (16, 3, 6.1)"),
            line(0, "(8, 250, 5.2), (16, 9, 6.0)"),
            line(1, "(8, 250, 5.2), (16, 9, 6.0)"),
        ]
    )
    assert found is not None
    assert (found.kind, found.steps) == ("batchsize", {(8, 8, None): 250, (16, 16, None): 9})
    old = "INFO 12-10 [forward_context.py:1] Batchsize distribution (batchsize, count): [(256, 7)]"
    found = parse_step_log([old])
    assert found is not None and found.steps == {(256, 256, None): 7}


def test_a_log_without_any_says_so() -> None:
    assert (
        parse_step_log(["INFO 10-01 10:00:00 [x.py:1] | 1 | 2 | 1 | FULL | 3 |", "x | y"]) is None
    )
