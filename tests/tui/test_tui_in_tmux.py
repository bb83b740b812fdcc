"""The program in a real terminal: what tmux shows is what somebody sees."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from kprobesim.i18n import LANGUAGES, Language

SIZES = [(80, 24), (120, 36)]
PATIENCE = 60.0
HIT = {"en": "found the probe at vfs_read+0x0", "zh": "查到 vfs_read+0x0 的 probe"}

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not on this computer")


class Terminal:
    """kprobesim in a window of tmux.

    Args:
        folder: for its socket and the program's data.
        size: columns and lines.
        language: of the program.
        arguments: of the program.
    """

    def __init__(self, folder: Path, size: tuple[int, int], language: Language, *arguments: str) -> None:
        self._socket = str(folder / "tmux")
        self._environment = os.environ | {"KPROBESIM_DATA": str(folder), "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        start = [sys.executable, "-c", "from kprobesim.cli.main import main; main()", "--lang", language, *arguments]
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), *start)

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-u", "-S", self._socket, *words]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=30).stdout

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        self._tmux("send-keys", *keys)

    def lines(self) -> list[str]:
        """What is on the screen."""
        return self._tmux("capture-pane", "-p").splitlines()

    def wait_for(self, text: str) -> list[str]:
        """The screen once a text is on it."""
        end = time.monotonic() + PATIENCE
        while text not in "\n".join(lines := self.lines()):
            assert time.monotonic() < end, "\n".join(lines)
            time.sleep(0.1)
        return lines

    @property
    def runs(self) -> bool:
        """The program has not ended."""
        return bool(self._tmux("list-sessions"))

    def close(self) -> None:
        """End everything."""
        self._tmux("kill-server")


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("t")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_demo_is_stepped_and_left_in_a_terminal(folder: Path, size: tuple[int, int], language: Language) -> None:
    terminal = Terminal(folder, size, language, "demo", "first-probe")
    try:
        terminal.wait_for("native_safe_halt+0x2")
        terminal.press("Space")
        hit = terminal.wait_for(HIT[language])
        terminal.press("Right")
        terminal.wait_for("by_pid")
        terminal.press("Left")
        assert terminal.wait_for(HIT[language])[0] == hit[0], "the same event, time and task are in the first line"
        assert len(hit) == size[1] and all(cell_len(line) <= size[0] for line in hit)
        terminal.press("q")
        end = time.monotonic() + PATIENCE
        while terminal.runs:
            assert time.monotonic() < end, "\n".join(terminal.lines())
            time.sleep(0.1)
    finally:
        terminal.close()
