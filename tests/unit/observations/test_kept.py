"""A table that is kept is found for the same contents, and for no others."""

import json

import pytest

from cudagraph_lab.observations import kept


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A shipped record with a log beside it, and a source."""
    monkeypatch.setattr(kept, "SHIPPED", tmp_path / "resources")
    arm = tmp_path / "resources" / "d" / "runs" / "eager"
    arm.mkdir(parents=True)
    for name in ("rep1.json", "rep1.log"):
        (arm / name).write_text(name)
    (tmp_path / "source.py").write_text("1")
    return arm


@pytest.fixture
def ask(shipped, tmp_path):
    """Ask for the table; how often it has been made by then."""
    made = []

    def make():
        made.append(1)
        return "{}", f"table {len(made)}"

    def asked(records=None, what="a"):
        kept.kept_or_made(
            tmp_path / "cache" / "d.json",
            records or [shipped / "rep1.json"],
            {"asked": what},
            [tmp_path / "source.py"],
            make,
        )
        return len(made)

    return asked


def test_the_same_contents_are_tabulated_once(ask):
    assert [ask(), ask(), ask()] == [1, 1, 1]


@pytest.mark.parametrize("change", ["record", "log", "source", "asked", "another log"])
def test_whatever_changes_the_table_is_made_anew(ask, shipped, tmp_path, change):
    assert ask() == 1
    if change == "record":
        (shipped / "rep1.json").write_text("other")
    elif change == "log":
        (shipped / "rep1.log").write_text("other")
    elif change == "another log":
        (shipped / "rep2.log").write_text("other")
    elif change == "source":
        (tmp_path / "source.py").write_text("2")
    assert ask(what="b" if change == "asked" else "a") == 2


@pytest.mark.parametrize("content", ["", "[]", '{"key": 1}', "directory"])
def test_what_cannot_be_read_is_made_anew(ask, tmp_path, content):
    path = tmp_path / "cache" / "d.json"
    if content == "directory":
        path.mkdir(parents=True)
        assert [ask(), ask()] == [1, 2]
        return
    ask()
    key = json.loads(path.read_text())["key"]
    path.write_text(content.replace("1", json.dumps(key)))
    assert [ask(), ask()] == [2, 2]


def test_what_was_measured_here_is_never_kept(ask, tmp_path):
    own = tmp_path / "results" / "runs" / "rep1.json"
    own.parent.mkdir(parents=True)
    own.write_text("")
    assert [ask([own]), ask([own])] == [1, 2]
    assert not (tmp_path / "cache").exists()
