"""`ladder --log` on a log that vLLM's own logging code wrote, in vLLM's own environment."""

import json
import os
import random
import subprocess
from collections import Counter

import pytest

from cudagraph_lab.cli import main
from cudagraph_lab.engine.environment import vllm_python
from cudagraph_lab.engine.step_log import parse_step_log

SIZES, MODE, RUNNING = [1, 2, 4, 8, 16], "FULL_AND_PIECEWISE", 24
PREFILL = 700


def steps_of(rng: random.Random, count: int) -> list[tuple[int, int, str]]:
    """Steps of a server: decode, mixed, above the largest captured size, and prefills."""
    steps = []
    for _ in range(count):
        tokens = rng.randrange(1, RUNNING + 1)
        padded = next((size for size in SIZES if size >= tokens), None)
        if rng.random() < 0.05:
            steps.append((PREFILL, PREFILL, "NONE"))
        elif padded is None:
            steps.append((tokens, tokens, "NONE"))
        else:
            steps.append((tokens, padded, "PIECEWISE" if rng.random() < 0.1 else "FULL"))
    return steps


@pytest.fixture(scope="module")
def served(repository):
    """What a server did in three windows, and every line that it printed of that."""
    rng = random.Random(20260504)  # noqa: S311 - not for secrets
    windows = [steps_of(rng, count) for count in (120, 1, 80)]
    asked = {"process": "APIServer", "mode": MODE, "sizes": SIZES, "windows": windows}
    done = subprocess.run(
        [
            vllm_python("managed", "auto", "cpu"),
            repository / "tests" / "fixtures" / "write_server_log.py",
            json.dumps(asked),
        ],
        env={**os.environ, "VLLM_LOG_BATCHSIZE_INTERVAL": "0", "VLLM_NO_USAGE_STATS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=300,
    )
    return [step for window in windows for step in window], done.stdout.splitlines()


def test_every_step_of_the_tables_is_counted(served):
    steps, lines = served
    found = parse_step_log(lines)
    assert found.kind == "table"
    assert found.steps == Counter(steps)
    assert (found.tables, found.sizes, found.mode) == (3, tuple(SIZES), MODE)


def test_the_command_says_what_to_set_and_what_ran_outside_of_a_graph(served, tmp_path, capsys):
    steps, lines = served
    log = tmp_path / "server.log"
    log.write_text("\n".join(lines), encoding="utf-8")
    command = ["ladder", "--log", str(log), "--rungs", "3", "--max-num-seqs", str(RUNNING)]
    main([*command, "--json"])
    answer = json.loads(capsys.readouterr().out)
    today = answer["today"]
    replayed = [step for step in steps if step[2] != "NONE"]
    assert (today["steps"], today["replayed_steps"]) == (len(steps), len(replayed))
    assert today["padded_tokens"] == sum(padded - tokens for tokens, padded, _ in replayed)
    assert today["piecewise_steps"] == sum(mode == "PIECEWISE" for *_, mode in steps)
    outside = {one["tokens"]: one["steps"] for one in today["steps_outside_a_graph"]}
    assert outside == Counter(tokens for tokens, _, mode in steps if mode == "NONE")
    (prefill,) = [one["tokens"] for one in today["steps_outside_a_graph"] if one["prefill"]]
    assert prefill == PREFILL
    assert answer["best"]["sizes"][-1] == RUNNING
    main(command)
    assert capsys.readouterr().out.splitlines()[-1] == answer["option"]


def test_without_the_tables_the_lines_of_batch_sizes_are_read(served):
    steps, lines = served
    found = parse_step_log(line for line in lines if "cuda_graph.py" not in line)
    counts = Counter(padded for _, padded, _ in steps)
    assert found.kind == "batchsize"
    # vLLM leaves out a size that was seen once: that can be a capture.
    assert found.steps == {(size, size, None): n for size, n in counts.items() if n > 1}
