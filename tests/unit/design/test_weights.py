"""Which weights: published where the hub answers, dummy where it does not, and said so."""

import http.server
import socketserver
import threading
from contextlib import contextmanager

import pytest

from cudagraph_lab.design.weights import architecture_directory, choose_weights, hub_answers
from cudagraph_lab.errors import LabError

MODEL = "facebook/opt-125m"


def no_python():
    raise AssertionError("nothing is to be fetched")


class Hub(http.server.BaseHTTPRequestHandler):
    """Knows one model."""

    asked: list[str]

    def do_HEAD(self):
        self.asked.append(self.path)
        known = self.path == "/facebook/opt-125m/resolve/main/config.json"
        self.send_response(200 if known else 404)
        self.end_headers()

    def log_message(self, *args):
        pass


class Garbage(socketserver.StreamRequestHandler):
    """Answers, but not in HTTP: a captive portal's cousin."""

    def handle(self):
        self.rfile.readline()
        self.wfile.write(b"\x00\x01 what?\r\n\r\n")


@contextmanager
def listening(handler):
    with socketserver.TCPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def hub(monkeypatch):
    Hub.asked = []
    with listening(Hub) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield Hub.asked


@pytest.fixture
def no_hub(monkeypatch):
    with listening(Hub) as address:
        pass  # the port is free again, and nobody listens
    monkeypatch.setenv("HF_ENDPOINT", address)


@pytest.fixture
def fetching(tmp_path):
    """A Python of vLLM's environment that does what a script says."""

    def python(script):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return lambda: path

    return python


def test_the_hub_is_asked_without_fetching(hub):
    assert hub_answers("facebook/opt-125m") is None
    assert hub_answers("facebook/opt-126m") == "Not Found"
    assert hub[0] == "/facebook/opt-125m/resolve/main/config.json"


def test_published_weights_carry_their_revision(hub, fetching):
    python = fetching('echo noise; printf "/models/snapshots/abc123\\tabc123\\n"')
    assert choose_weights(MODEL, "auto", None, python) == {
        "weights": "hub",
        "path": "/models/snapshots/abc123",
        "revision": "abc123",
        "reason": "published weights",
        "drafts": {},
    }


def test_a_fetch_that_fails_is_one_line(hub, fetching):
    with pytest.raises(LabError, match=r"config: model\.name: fetching facebook/opt-125m"):
        choose_weights(MODEL, "auto", None, fetching("exit 1"))


def test_without_a_hub_dummy_weights_are_taken_and_said(no_hub, repository, capsys):
    chosen = choose_weights(MODEL, "auto", None, no_python)
    assert chosen["weights"] == "dummy"
    assert chosen["revision"] is None
    assert chosen["path"] == str(repository / "resources" / "models" / "facebook--opt-125m")
    assert "the hub does not answer" in chosen["reason"]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "dummy weights" in said


def test_a_hub_that_is_asked_for_and_does_not_answer_is_an_error(no_hub):
    with pytest.raises(LabError, match=r"config: model\.weights: hub, but it does not answer"):
        choose_weights(MODEL, "hub", None, no_python)


def test_a_hub_that_talks_nonsense_does_not_answer(monkeypatch):
    with listening(Garbage) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert choose_weights(MODEL, "auto", None, no_python)["weights"] == "dummy"


@pytest.mark.parametrize("endpoint", ["nonsense", "http://[", "http://127.0.0.1:99999"])
def test_an_endpoint_that_is_no_address_does_not_answer(endpoint, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert hub_answers("facebook/opt-125m")


def test_dummy_weights_ask_no_hub(hub, capsys):
    assert choose_weights(MODEL, "dummy", None, no_python)["reason"] == "as configured"
    assert hub == []
    assert capsys.readouterr().err == ""


def test_dummy_weights_need_an_architecture(repository, tmp_path):
    with pytest.raises(LabError, match=r"nobody--nothing/config\.json.*model\.architecture"):
        choose_weights("nobody/nothing", "dummy", None, no_python)
    with pytest.raises(LabError, match=r"model\.architecture"):
        choose_weights("nobody/nothing", "dummy", str(tmp_path), no_python)
    small = repository / "tests" / "models" / "opt-2-layers"
    assert architecture_directory("nobody/nothing", str(small)) == small
