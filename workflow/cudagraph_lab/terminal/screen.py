"""A stream on which lines stay and one line moves; in a file or a pipe all lines stay."""

import shutil
import threading
import time
from contextlib import suppress
from typing import TextIO

_CLEAR = "\r\x1b[K"


class Screen:
    """Writes for a page; several threads may write."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._moves = stream.isatty()
        self._lock = threading.RLock()
        self._moving: tuple[str, float] | None = None  # the text, and since when
        self._ended = threading.Event()
        if self._moves:
            threading.Thread(target=self._tick, daemon=True).start()

    @property
    def moves(self) -> bool:
        """Whether a line can move: on a terminal."""
        return self._moves

    @property
    def width(self) -> int:
        """Characters in a line; a wide default where nothing wraps them."""
        return shutil.get_terminal_size().columns if self._moves else 1000

    def stay(self, line: str) -> None:
        """Print a line that stays."""
        with self._lock:
            self._write((_CLEAR if self._moving else "") + line + "\n")
            self._show()

    def move(self, text: str, plain: str) -> None:
        """Show `text` in the line that moves; where none can, print `plain`."""
        with self._lock:
            if not self._moves:
                self._write(plain + "\n")
            elif self._moving is None or self._moving[0] != text:
                self._moving = (text, time.monotonic())
                self._show()

    def still(self) -> None:
        """Take the moving line away."""
        with self._lock:
            if self._moving:
                self._write(_CLEAR)
                self._moving = None

    def close(self) -> None:
        """Take the moving line away for good."""
        self._ended.set()
        self.still()

    def _tick(self) -> None:
        # A minute without a new word, as while vLLM boots, is seen to pass.
        while not self._ended.wait(1):
            with self._lock:
                self._show()

    def _show(self) -> None:
        if self._moving:
            text, since = self._moving
            passed = f" ({time.monotonic() - since:.0f} s)"
            # Where both do not fit, the text is what counts.
            line = text + passed
            self._write(_CLEAR + (line if len(line) < self.width else text[: self.width - 1]))

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
