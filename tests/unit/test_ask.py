"""The page of answers: every answer on it is what the command prints."""

import re
import shlex

import pytest

from cudagraph_lab import REPOSITORY
from cudagraph_lab.cli import main

PAGE = (REPOSITORY / "docs" / "ask.md").read_text(encoding="utf-8")
ASKED = re.findall(r"```console\n\$ cudagraph-lab ([^\n]+)\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("command", "answer"), ASKED, ids=[line for line, _ in ASKED])
def test_an_answer_is_what_the_command_prints(command, answer, capsys, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    main(shlex.split(command))
    assert capsys.readouterr().out == answer


def test_the_three_questions_are_there():
    assert [line.split()[0] for line, _ in ASKED] == ["ladder", "extrapolate", "startup-log"]
