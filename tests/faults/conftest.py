"""The option that writes the table anew, where these tests alone are asked for; Ctrl-C counts."""

import signal

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-reliability", action="store_true", help="write the table of docs/reliability.md"
    )


def pytest_configure() -> None:
    # A shell that starts the tests in the background lets them, and all that they start,
    # ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
