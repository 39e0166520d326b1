"""Files are written whole or not at all, whatever goes wrong."""

import errno
import hashlib
import json
import os
import resource
import stat

import pytest

from cudagraph_lab.files import sha256_of, write_atomically, write_json


def test_writes_makes_directories_and_replaces(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    write_atomically(path, "first\n")
    write_atomically(path, "zweite – Zeile\n")
    assert path.read_text(encoding="utf-8") == "zweite – Zeile\n"
    assert list(path.parent.iterdir()) == [path]
    assert sha256_of(path) == hashlib.sha256("zweite – Zeile\n".encode()).hexdigest()


def test_readable_for_those_whom_the_umask_lets(tmp_path):
    umask = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", "x")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("old", [None, "old content"])
def test_a_file_that_cannot_grow_leaves_the_old_one_and_nothing_half_written(tmp_path, old):
    # The kernel refuses to write past this size, as a full disk does.
    path = tmp_path / "file"
    if old is not None:
        path.write_text(old)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError) as caught:
            write_atomically(path, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert [p.name for p in tmp_path.iterdir()] == ([] if old is None else ["file"])
    assert old is None or path.read_text() == old


def test_a_disk_that_is_full_only_at_the_flush_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(tmp_path / "file.json", {"value": 1})
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_json(tmp_path / "file.json", {"value": 1})
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_json_never_touches_the_file(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"value": "ü"})
    with pytest.raises(TypeError):
        write_json(path, {"value": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"value": "ü"}
