"""The narration: what just happened and why, in sentences. The heart of the screen."""

from __future__ import annotations

from textual.content import Content

from kprobesim.i18n import Language
from kprobesim.lab import Phase
from kprobesim.tui import styles
from kprobesim.tui.motions import Outcome
from kprobesim.tui.panels.code import plain_text
from kprobesim.tui.snapshot import Snapshot
from kprobesim.tui.wording import say
from textual.widgets import Static

__all__ = ["NarrationPanel", "narrate"]


def narrate(now: Snapshot, language: Language) -> tuple[str, str]:
    """What happened and why at a moment; between two events, what the CPU is about to do.

    Args:
        now: the moment.
        language: of the sentences.
    """
    why_phase = say(language, f"phase.{now.phase.name}") if now.phase is not Phase.RUN else ""
    if now.program is not None and now.program.running is not None and now.moment.step:
        running = now.program.running
        text = next((text for slot, text in now.program.lines if slot == running.pc), "")
        return say(language, "narration.bpf", text=text, slot=running.pc, executed=running.executed), why_phase
    if now.at_event and now.event is not None:
        told = now.narration[language]
        return told.what, told.why or why_phase
    what = say(language, "narration.next", text=plain_text(now.next_text, ""), place=now.place)
    if now.next_source:
        what += say(language, "narration.source", source=now.next_source)
    if why_phase:
        return what, why_phase
    if now.event is None:
        return what, ""
    return what, say(language, "narration.last", what=now.narration[language].what)


class NarrationPanel(Static, can_focus=False):
    """Two sentences, and before them how the last motion ended if it did not end as usual."""

    DEFAULT_CSS = """
    NarrationPanel {
        border: round $primary;
        border-title-color: $foreground;
        border-title-style: bold;
        padding: 0 1;
    }
    """

    def tell(self, now: Snapshot | None, outcome: Outcome, language: Language) -> None:
        """Show a moment.

        Args:
            now: the moment, or None where there is no lab yet.
            outcome: how the motion ended.
            language: of the sentences.
        """
        self.border_title = say(language, "narration.title")
        lines: list[Content] = []
        if outcome.key:
            lines.append(Content.styled(f"■ {say(language, f'outcome.{outcome.key}', **outcome.values)}", styles.STRONG))
        if now is not None:
            what, why = narrate(now, language)
            lines.append(Content.styled(what, "bold" if not outcome.key else ""))
            if why:
                lines.append(Content.assemble((say(language, "narration.why"), styles.HEAD), " ", why))
        self.update(Content("\n").join(lines))

    def fail(self, sentence: str, hint: str, language: Language) -> None:
        """Show why a motion could not be made."""
        self.border_title = say(language, "narration.failed")
        lines = [Content.styled(f"✗ {sentence}", styles.FAILED)]
        if hint:
            lines.append(Content(hint))
        self.update(Content("\n").join(lines))
