"""The report of the shipped records, made once, and a browser to look at it with."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from cudagraph_lab import REPOSITORY

AXE = REPOSITORY / ".venv" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
# Without a sandbox it also runs as root; nothing of its own goes to the network.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def report(from_records) -> Path:
    """The page that the whole workflow makes of the shipped records, with nothing measured."""
    page: Path = from_records / "results" / "report" / "lab_report.html"
    return page


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which finds what assistive technology would stumble over."""
    if not AXE.exists():
        pytest.fail("axe-core is missing: install npm, then run `make setup-dev`", pytrace=False)
    return AXE.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.fail(
            "no browser: install chromium, on Debian `apt-get install chromium`", pytrace=False
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def open_page(browser, report) -> Callable[..., Any]:
    """Open the report: a context manager of (page, what went wrong or outside meanwhile)."""

    @contextmanager
    def opened(
        path: Path = report, width: int = 1280, height: int = 800, **options: Any
    ) -> Iterator[tuple[Page, list[str]]]:
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, offline=True, **options)
        complaints: list[str] = []

        def let_through(route: Any) -> None:
            if route.request.url.startswith(("file:", "data:")):
                route.continue_()
            else:
                complaints.append(f"request: {route.request.url}")
                route.abort()

        context.route("**/*", let_through)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
        page.goto(path.as_uri())
        yield page, complaints
        context.close()

    return opened
