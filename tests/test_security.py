"""Nothing that is read from a record, a log or a configuration is run, here or in a terminal."""

import ast
import json
import os
import re
import subprocess
import sys

import pytest

from cudagraph_lab import REPOSITORY
from cudagraph_lab.engine.foreign_code import FOREIGN_CODE, foreign_code
from cudagraph_lab.errors import LabError, say
from cudagraph_lab.records.store import NotBelievedError, read_record

SOURCES = sorted(
    path for directory in ("workflow", "bench") for path in (REPOSITORY / directory).rglob("*.py")
)
# What turns data into code, or unpacks objects from it.
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "joblib", "code", "runpy"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load",
                   "yaml.unsafe_load", "torch.load", "subprocess.getoutput"}  # fmt: skip


def uses(tree):
    """The forbidden things that a syntax tree uses, each with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imported = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                imported = [node.module or ""]
            names = [name.split(".")[0] for name in imported]
            yield from ((node.lineno, name) for name in names if name in FORBIDDEN_MODULES)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS:
                yield node.lineno, called
            for keyword in node.keywords:
                shell = keyword.arg == "shell" and ast.unparse(keyword.value) != "False"
                if shell or (
                    keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False"
                ):
                    yield node.lineno, keyword.arg


def test_what_is_forbidden_is_found():
    text = "import pickle\nfrom shelve import x\neval('1')\nrun('x', shell=True)\nos.system('x')"
    assert [line for line, _ in uses(ast.parse(text))] == [1, 2, 3, 4, 5]


def test_no_source_turns_data_into_code_or_text_into_a_shell_command():
    assert len(SOURCES) > 25
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: {name}"
        for path in SOURCES
        for line, name in uses(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_every_value_in_a_shell_command_is_quoted_or_bound_by_a_pattern():
    rules = {path: path.read_text(encoding="utf-8") for path in REPOSITORY.glob("workflow/rules/*")}
    of_all = r"(?m)^wildcard_constraints:\n((?: +.*\n?)+)"
    bound = re.search(of_all, "".join(rules.values())).group(1)
    patterns = dict(re.findall(r'(\w+)=r"(.+?)"', bound))
    shells = [
        match
        for text in rules.values()
        for match in re.findall(r"\n +shell:\n((?: +[\"#].*\n)+)", text)
    ]
    assert len(shells) == 5
    for shell in shells:
        for value in re.findall(r"(?<!\{)\{([^{}]+)\}", shell):
            name = value.removeprefix("wildcards.")
            assert value.endswith(":q") or (value != name and name in patterns), shell
    for pattern in patterns.values():
        for hostile in ("x;reboot", "$(reboot)", "a b", "`x`", "../x", "-x", "", "x\ny"):
            assert not re.fullmatch(pattern, hostile), (pattern, hostile)


# --- Code of others ------------------------------------------------------------------------


@pytest.mark.parametrize("argument", [*sorted(FOREIGN_CODE), "trust-remote-code", "Worker_Cls"])
@pytest.mark.parametrize("place", ["{}", '{{"a": {}}}', '{{"a": [1, {{"b": {}}}]}}'])
def test_arguments_that_name_code_are_found_at_any_depth(argument, place):
    arguments = json.loads(place.format(json.dumps({argument: False})))
    assert foreign_code(arguments).endswith(argument)


def test_a_backend_is_vllms_own_or_refused():
    assert foreign_code({"compilation_config": {"backend": "inductor"}}) is None
    assert foreign_code({"distributed_executor_backend": "mp"}) is None
    assert foreign_code({"compilation_config": {"backend": "my.module.function"}})
    assert foreign_code({"distributed_executor_backend": "mine.Executor"})


def test_a_record_that_asks_for_foreign_code_is_not_believed(small_record):
    def ask(body):
        body["request"]["engine_args"]["trust_remote_code"] = True

    with pytest.raises(NotBelievedError, match=r"engine_args\.trust_remote_code: foreign code"):
        read_record(small_record(ask))


def test_the_harness_turns_it_off_whatever_it_is_asked():
    job = {
        "model_path": "x",
        "draft_path": None,
        "request": {
            "weights": "dummy",
            "purpose": "timed",
            "seed": 1,
            "workload": {
                "prompt_token_ids": [1], "max_model_len": 8, "gpu_memory_utilization": 0.5
            },
            "engine_args": {"trust_remote_code": True},
        },
    }  # fmt: skip
    # In a process of its own: the harness ends with its parent.
    script = "import json, sys, run; print(json.dumps(run.engine_arguments(json.load(sys.stdin))))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow" / "harness")},
    )
    assert json.loads(done.stdout)["trust_remote_code"] is False, done.stderr


# --- Terminals ------------------------------------------------------------------------------


def test_what_reaches_a_terminal_moves_no_cursor_and_is_one_line(capsys):
    hostile = "a\x1b[2J\x1b]0;title\x07b\rc\nd\u202ee"
    say(hostile)
    shown = capsys.readouterr().err
    assert shown.endswith("\n")
    assert shown[:-1].isprintable()
    assert str(LabError(hostile)).isprintable()


def test_a_reader_that_has_gone_away_is_no_error():
    command = f'{sys.executable} -m cudagraph_lab.cli "$@" | true; echo ${{PIPESTATUS[0]}}'
    log = REPOSITORY / "tests" / "fixtures" / "startup_logs" / "v0.22.0-narrow-terminal.log"
    for arguments in (["--help"], ["startup-log", str(log)]):
        done = subprocess.run(
            ["bash", "-c", command, "bash", *arguments], capture_output=True, text=True
        )
        assert done.stderr == ""
        assert done.stdout.strip() in ("0", "1")
