"""What is in play, in digits three rows high: the byte under the probe, and the instruction pointer."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Digits, Static

from kprobesim.i18n import Language
from kprobesim.tui import styles
from kprobesim.tui.snapshot import Snapshot
from kprobesim.tui.wording import say

__all__ = ["BigLine"]

_LOW = 0xFFFF_FFFF


class BigLine(Horizontal):
    """Seen from the last row; hidden but for the presenter."""

    DEFAULT_CSS = """
    BigLine { height: 3; display: none; padding: 0 1; }
    BigLine Static { width: 1fr; height: 3; text-align: right; padding: 0 1; }
    BigLine Digits { width: auto; height: 3; }
    BigLine #big-byte-label { width: 22; }
    """

    _kept: tuple[Snapshot, Language] | None = None

    def compose(self) -> ComposeResult:
        """Two numbers, and before each what it is."""
        yield Static(id="big-byte-label")
        yield Digits("", id="big-byte")
        yield Static(id="big-ip-label")
        yield Digits("", id="big-ip")

    def on_show(self) -> None:
        """Seen: catch up."""
        if self._kept is not None:
            self.show(*self._kept)

    def show(self, now: Snapshot, language: Language) -> None:
        """Show another moment; what nobody sees waits, as it would have the whole screen laid out anew."""
        self._kept = (now, language)
        if not self.display:
            return
        label, byte = _byte(now, language)
        self.query_one("#big-byte-label", Static).update(label)
        self.query_one("#big-byte", Digits).update(byte)
        place = Content.assemble(("rip", styles.DIM), "\n", (now.place, styles.STRONG), "\n", now.phase.value)
        self.query_one("#big-ip-label", Static).update(place)
        self.query_one("#big-ip", Digits).update(f"{now.registers['rip'] & _LOW:08X}")


def _byte(now: Snapshot, language: Language) -> tuple[Content, str]:
    """The byte that stands at the probe in play, and what it should be; nothing where there is no probe."""
    line = next((line for line in now.code.rows if line.address == now.probed), None)
    if line is None:
        return Content(""), ""
    byte, original = line.memory[:1].hex().upper(), line.original[:1].hex().upper()
    was = say(language, "big.was", byte=original) if line.patched else say(language, "big.plain")
    place = f"{now.code.name}+{line.address - now.code.start:#x}" if now.code.name else f"{line.address:#x}"
    return Content.assemble((say(language, "big.byte"), styles.DIM), "\n", (place, styles.STRONG), "\n", was), byte
