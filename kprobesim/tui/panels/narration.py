"""The narration: what just happened and why, in sentences. The heart of the screen."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.widget import Widget

from kprobesim.i18n import Language
from kprobesim.lab import Phase
from kprobesim.tui import styles
from kprobesim.tui.cells import fit, wrap
from kprobesim.tui.motions import Outcome
from kprobesim.tui.panels.code import plain_text
from kprobesim.tui.snapshot import Snapshot
from kprobesim.tui.wording import knows, say

__all__ = ["NarrationPanel", "narrate"]

_IF = 0x200
_TOLD_BRIEFLY = (Phase.PT_REGS, Phase.SLOT, Phase.SECOND_BREAKPOINT)
"""Phases that begin between two events."""


def narrate(now: Snapshot, language: Language) -> tuple[str, str]:
    """What happened and why at a moment; between two events, what the CPU is about to do and what led to it.

    Args:
        now: the moment.
        language: of the sentences.
    """
    why = say(language, "narration.why")
    phase = why + _about_phase(now, language) if now.phase is not Phase.RUN else ""
    if now.program is not None and now.program.running is not None and now.moment.step:
        running = now.program.running
        text = next((text for slot, text in now.program.lines if slot == running.pc), "")
        return say(language, "narration.bpf", text=text, slot=running.pc, executed=running.executed), phase
    if now.at_event and now.event is not None:
        told = now.narration[language]
        return told.what, why + told.why if told.why else phase
    text = plain_text(now.next_text, "")
    what = say(language, "narration.next" if text else "narration.next_place", text=text, place=now.place)
    if now.next_source:
        what += say(language, "narration.source", source=now.next_source)
    if phase:
        return what, phase
    if now.event is None:
        return what, ""
    return what, say(language, "narration.last", what=now.narration[language].what)


def _about_phase(now: Snapshot, language: Language) -> str:
    """A sentence on the phase, or on the function that serves the hit where that is another one than an int3's."""
    own = f"serving.{now.phase.name}.{now.serving}"
    return say(language, own if knows(own) else f"phase.{now.phase.name}")


def narrate_briefly(now: Snapshot, language: Language) -> str:
    """What happened at a moment, for one who sees it for the first time.

    Args:
        now: the moment.
        language: of the sentence.
    """
    if now.moment.step:
        return narrate(now, language)[0]
    if now.at_event and now.event is not None:
        return now.brief[language]
    if now.phase in _TOLD_BRIEFLY:
        return say(language, f"phase_brief.{now.phase.name}")
    if all(cpu.halted for cpu in now.vcpus if cpu.online):
        return say(language, "narration.waits")
    return say(language, "narration.next", text=plain_text(now.next_text, ""), place=now.place)


def _standing(now: Snapshot, why: bool) -> str:
    """Phase, place, IF and kprobe_status, as lessons write where one should be; in brief lessons the first two."""
    place = now.place if now.registers["cs"] & 3 == 0 else "user"
    if not why:
        return f"{now.phase_name}  {place}"
    return f"{now.phase_name}  {place}  IF {int(bool(now.registers['rflags'] & _IF))}  {now.kprobe.status}"


class NarrationPanel(Widget):
    """Two sentences, and before them how the last motion ended if it did not end as usual."""

    DEFAULT_CSS = """
    NarrationPanel {
        border: round $primary;
        border-title-color: $foreground;
        border-title-style: bold;
        border-subtitle-color: $foreground;
        padding: 0 1;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: list[tuple[str, str]] = []
        self._large = False

    def enlarge(self, large: bool) -> None:
        """For the last row of a classroom, or as usual.

        Args:
            large: bold, in the middle, with an empty line between two, and the reason only where there is room.
        """
        if large != self._large:
            self._large = large
            self.refresh()

    def tell(self, now: Snapshot | None, outcome: Outcome, language: Language, *, why: bool = True) -> None:
        """Show a moment.

        Args:
            now: the moment, or None where there is no lab yet.
            outcome: how the motion ended.
            language: of the sentences.
            why: tell why, too; otherwise only which key tells it.
        """
        self.border_title, self.border_subtitle = say(language, "narration.title"), ""
        if now is not None:
            if now.at_event and now.event is not None:
                self.border_title = Content(f"{self.border_title} ─ {now.event.kind}")
            self.border_subtitle = Content(_standing(now, why))
        self._told = []
        if outcome.key:
            self._told.append((f"■ {outcome.tell(language)}", styles.STRONG))
        if now is not None:
            what, reason = narrate(now, language)
            what = what if why else narrate_briefly(now, language)
            self._told.append((what, "" if outcome.key else styles.STRONG))
            if reason and why:
                self._told.append((reason, ""))
            elif reason:
                self.border_subtitle = Content(f"{say(language, 'narration.ask_why')} ─ {self.border_subtitle}")
        self.refresh()

    def play(self, sign: str) -> None:
        """Show in the frame whether the lab goes on by itself."""
        self.border_subtitle = sign

    def fail(self, sentence: str, hint: str, language: Language) -> None:
        """Show why a motion could not be made."""
        self.border_title, self.border_subtitle = say(language, "narration.failed"), ""
        self._told = [(f"✗ {sentence}", styles.FAILED), (hint, "")]
        self.refresh()

    def mourn(self, sentence: str, hint: str, language: Language) -> None:
        """Show what the machine died of, and that one can go back all the same."""
        self.fail(sentence, hint, language)
        self.border_title = say(language, "narration.dead")
        self._told.append((say(language, "narration.dead_hint"), ""))

    def render(self) -> Content:
        """The sentences, wrapped; what does not fit ends in an ellipsis."""
        width, height = self.content_size
        if self._large and (whole := self._enlarged(width, height)) is not None:
            return whole
        lines = [(line, style) for text, style in self._told if text for line in _lines(text, max(width, 1))]
        if len(lines) > height > 0:
            last, style = lines[height - 1]
            lines = [*lines[: height - 1], (f"{set_cell_size(last, min(cell_len(last), width - 2))} …", style)]
        return Content("\n").join(Content.styled(line, style) for line, style in lines)

    def _enlarged(self, width: int, height: int) -> Content | None:
        """As much as fits of it, whole sentences only; None if not even the first does."""
        lines: list[str] = []
        for text, _ in self._told:
            more = [line for part in _lines(text, max(width, 1)) for line in ("", part)]
            if lines and len(lines) + len(more) > height:
                break
            lines += more if lines else more[1:]
        if len(lines) > height:
            return None
        above = max((height - len(lines)) // 2, 0)
        centred = [f"{' ' * ((width - cell_len(line)) // 2)}{line}" for line in lines]
        return Content("\n").join([Content("")] * above + [Content.styled(line, styles.STRONG) for line in centred])


def _lines(text: str, width: int) -> list[str]:
    """A sentence, wrapped; below it, what an error quotes, as it is: a mark points at a column of it."""
    sentence, *quoted = text.split("\n")
    return [*wrap(sentence, width), *(fit(line, width).rstrip() for line in quoted)]
