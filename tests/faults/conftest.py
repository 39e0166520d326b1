"""The option that writes the table anew, where these tests alone are asked for."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-reliability", action="store_true", help="write the table of docs/reliability.md"
    )
