"""The arrangement of the panels: all of them side by side, or one at a time where there is no room."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from kprobesim.tui.layout import Layout
from kprobesim.tui.panels.bpf import BpfPanel
from kprobesim.tui.panels.code import CodePanel
from kprobesim.tui.panels.console import ConsolePanel
from kprobesim.tui.panels.events import EventsPanel
from kprobesim.tui.panels.kprobe import KprobePanel
from kprobesim.tui.panels.maps import MapsPanel
from kprobesim.tui.panels.panel import Panel, View
from kprobesim.tui.panels.registers import RegistersPanel
from kprobesim.tui.panels.stack import StackPanel
from kprobesim.tui.panels.tasks import TasksPanel
from kprobesim.tui.panels.verifier import VerifierPanel

__all__ = ["PanelBench"]

_ROOMY = 160
_HIGH = 46
_LOW = 30
_SHARED = (("bpf", "verifier", "console"), ("maps", "tasks"))
"""Panels that share one place: the one selected last is seen."""


class PanelBench(Horizontal):
    """Three columns of panels; with the class ``-single`` only the selected panel and, where they fit, two neighbours.

    The events have a second home there, as in the wide layout they stand beside the narration.
    """

    DEFAULT_CSS = """
    PanelBench { height: 1fr; }
    PanelBench Vertical { height: 1fr; }
    PanelBench #left { width: 1fr; }
    PanelBench #middle { width: 34; }
    PanelBench #right { width: 36; }
    PanelBench #alone, PanelBench #neighbour { display: none; }
    #code { height: 1fr; }
    #bpf, #verifier, #console { height: 13; }
    #registers { height: 21; }
    #maps, #tasks { height: 1fr; }
    #kprobe { height: 11; }
    #stack { height: 1fr; }
    PanelBench.-roomy #middle { width: 46; }
    PanelBench.-roomy #right { width: 54; }
    PanelBench.-high #bpf, PanelBench.-high #verifier, PanelBench.-high #console { height: 1fr; max-height: 26; }
    PanelBench .-covered { display: none; }
    PanelBench.-high #kprobe { height: 13; }

    PanelBench.-single Vertical { display: none; }
    PanelBench.-single Panel { display: none; }
    PanelBench.-single Panel.-near { display: block; }
    PanelBench.-single Panel.-near.-twice { display: none; }
    PanelBench.-single Vertical.-selected { display: block !important; width: 1fr !important; }
    PanelBench.-single Panel.-selected { display: block; height: 1fr !important; max-height: 100% !important; }
    PanelBench.-single.-paired #neighbour { display: block; width: 34; }
    #neighbour KprobePanel { height: 11; }
    #neighbour RegistersPanel { height: 1fr; }
    PanelBench.-low #neighbour KprobePanel { height: 1fr; }
    PanelBench.-low #neighbour RegistersPanel { display: none; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._on_top = {group: group[0] for group in _SHARED}

    def compose(self) -> ComposeResult:
        """Columns left, middle and right; then what only the single layout shows."""
        with Vertical(id="left"):
            yield CodePanel(id="code")
            yield BpfPanel(id="bpf")
            yield VerifierPanel(id="verifier")
            yield ConsolePanel(id="console")
        with Vertical(id="middle"):
            yield RegistersPanel(id="registers")
            yield MapsPanel(id="maps")
            yield TasksPanel(id="tasks")
        with Vertical(id="right"):
            yield KprobePanel(id="kprobe")
            yield StackPanel(id="stack")
        with Vertical(id="alone"):
            yield EventsPanel(id="events")
        with Vertical(id="neighbour"):
            yield KprobePanel(classes="-near")
            yield RegistersPanel(classes="-near")

    def show(self, view: View) -> None:
        """Draw another moment in all panels."""
        for panel in self.query(Panel):
            # A panel says that it is displayed also in a column that is not.
            if panel.display and all(column.display for column in panel.ancestors if isinstance(column, Vertical)):
                panel.show(view)
            else:
                panel.keep(view)

    def lay_out(self, layout: Layout, selected: str) -> None:
        """Show all panels, or one.

        Args:
            layout: which, and in how much room.
            selected: name of the panel that is shown where only one is.
        """
        # Each change of a class would apply all styles below it at once: they are applied together at the end.
        for group in _SHARED:
            if selected in group:
                self._on_top[group] = selected
            for name in group:
                covered = name != self._on_top[group] and not layout.single
                self.query_one(f"#{name}").set_class(covered, "-covered", update=False)
        self.set_class(layout.width >= _ROOMY, "-roomy", update=False)
        self.set_class(layout.height >= _HIGH, "-high", update=False)
        self.set_class(layout.height < _LOW, "-low", update=False)
        self.set_class(layout.single, "-single", update=False)
        # Under a low kprobe panel there is no room for a second neighbour.
        alone = selected == "kprobe" and layout.height < _LOW
        self.set_class(layout.single and layout.paired and not alone, "-paired", update=False)
        for panel in self.query(Panel):
            panel.set_class(panel.id == selected, "-selected", update=False)
            panel.set_class(panel.has_class("-near") and selected == panel.NAME, "-twice", update=False)
        for column in self.query(Vertical):
            column.set_class(bool(column.query(f"#{selected}")), "-selected", update=False)
        self.app.update_styles(self)
