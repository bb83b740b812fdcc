"""The machine's pseudo files as a tree beside its console: what a command changed is marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static, Tree
from textual.widgets.tree import TreeNode

from kprobesim.error_texts import in_language
from kprobesim.errors import KprobesimError
from kprobesim.lab import Grain, Lab
from kprobesim.lab.files import FileEntry, list_directory, read_file
from kprobesim.tui import styles
from kprobesim.tui.actions import FILES_ACTIONS, Place, bindings
from kprobesim.tui.motions import Interrupt, Motion, Outcome, in_turn
from kprobesim.tui.panels.keyline import FILES_KEYS, LEAVE, KeyLine
from kprobesim.tui.panels.too_small import TooSmall
from kprobesim.tui.screens.base import SizedScreen
from kprobesim.tui.screens.line import LineScreen
from kprobesim.tui.wording import say

__all__ = ["FilesScreen"]

_FIRST: Final = "/sys/kernel/tracing"
_CONSOLE: Final = 4096
_MOST_READ: Final = 400
"""Files of one look whose text is compared; more are only listed."""


@dataclass(frozen=True, slots=True)
class FilesView:
    """One look at the files.

    Attributes:
        listed: the entries of each expanded directory.
        digests: of the text of each file in them that can be read without taking anything away.
        text: of the open file, or why there is none.
        failed: there is none.
        console: what the console printed last.
    """

    listed: Mapping[str, tuple[FileEntry, ...]]
    digests: Mapping[str, bytes]
    text: str
    failed: bool
    console: str


class Seen(Message):
    """The lab's thread has looked."""

    def __init__(self, view: FilesView) -> None:
        super().__init__()
        self.view = view


def _look(expanded: frozenset[str], opened: str, post: Callable[[Message], object]) -> Motion:
    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        listed: dict[str, tuple[FileEntry, ...]] = {}
        for path in sorted(expanded):
            try:
                listed[path] = list_directory(lab, path)
            except KprobesimError:
                continue  # a command has taken it away
        files = [entry for entries in listed.values() for entry in entries if not entry.directory]
        digests = {}
        for entry in files[:_MOST_READ]:
            try:
                digests[entry.path] = sha256(read_file(lab, entry.path).encode()).digest()
            except KprobesimError:
                continue
        text, failed = "", False
        if opened:
            try:
                text = read_file(lab, opened)
            except KprobesimError as error:
                text, failed = str(error), True
        post(Seen(FilesView(listed, digests, text, failed, lab.terminal(_CONSOLE))))
        return Outcome()

    return move


class FilesScreen(SizedScreen):
    """A tree, the open file, the console.

    Args:
        ask: makes a motion on the lab's thread.
        type_motion: what types a line at the console.
    """

    PLACE: ClassVar[Place] = "files"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(FILES_ACTIONS)]

    DEFAULT_CSS = """
    FilesScreen { layout: vertical; }
    FilesScreen Horizontal { height: 1fr; }
    FilesScreen Tree, FilesScreen VerticalScroll {
        border-title-color: $foreground; border-subtitle-color: $foreground;
    }
    FilesScreen Tree { width: 40%; border: round $foreground 30%; background: $background; padding: 0; }
    FilesScreen Tree:focus { border: heavy $primary; }
    FilesScreen VerticalScroll { border: round $foreground 30%; padding: 0 1; height: 2fr; }
    FilesScreen VerticalScroll:focus { border: heavy $primary; }
    FilesScreen #terminal { height: 1fr; }
    FilesScreen Static { width: 1fr; }
    """

    def __init__(self, ask: Callable[[Motion], object], type_motion: Callable[[str], Motion]) -> None:
        super().__init__()
        self._ask, self._type_motion = ask, type_motion
        self.view: FilesView | None = None
        self.opened = ""
        self._expanded = {"", _FIRST}
        self._known: Mapping[str, bytes] = {}
        self._typed: list[str] = []

    def compose(self) -> ComposeResult:
        """The tree on the left, file and console on the right."""
        tree: Tree[str] = Tree("/", data="", id="tree")
        tree.show_root = False
        with Horizontal():
            yield tree
            with Vertical():
                with VerticalScroll(id="file"):
                    yield Static(id="text")
                with VerticalScroll(id="terminal"):
                    yield Static(id="printed")
        yield KeyLine(FILES_KEYS, LEAVE)
        yield TooSmall()

    def on_mount(self) -> None:
        """Look for the first time."""
        self.query_one(Tree).root.expand()
        self.query_one(Tree).focus()
        self.retell()
        self._refresh()

    def _refresh(self, first: Motion | None = None) -> None:
        look = _look(frozenset(self._expanded), self.opened, self.post_message)
        self._ask(look if first is None else in_turn(first, look))

    @on(Seen)
    def _seen(self, message: Seen) -> None:
        self.view = message.view
        if not self._known:
            self._known = message.view.digests
        else:
            # A directory that is seen for the first time has changed nothing.
            self._known = {**message.view.digests, **self._known}
        self._fill(self.query_one(Tree).root)
        self.retell()

    def _fill(self, node: TreeNode[str]) -> None:
        """Bring a directory of the tree up to date, and what is open below it."""
        view = self.view
        if view is None or node.data is None or node.data not in view.listed:
            return
        entries = view.listed[node.data]
        if [child.data for child in node.children] != [entry.path for entry in entries]:
            node.remove_children()
            for entry in entries:
                if entry.directory:
                    node.add(entry.name, data=entry.path, expand=entry.path in self._expanded)
                else:
                    node.add_leaf(entry.name, data=entry.path)
        for child, entry in zip(node.children, entries, strict=True):
            changed = entry.path in self.changed
            name = entry.path if not node.data else entry.name
            told = Content.assemble(("▸" if changed else "", styles.CHANGED), (name, styles.STRONG if changed else ""))
            child.set_label(told.plain if not changed else told.markup)
            self._fill(child)

    @property
    def changed(self) -> frozenset[str]:
        """The files whose text is another one than before the last command."""
        if self.view is None:
            return frozenset()
        return frozenset(path for path, digest in self.view.digests.items() if self._known.get(path, digest) != digest)

    def retell(self) -> None:
        """Say everything again."""
        super().retell()
        language, view = self.language, self.view
        tree = self.query_one(Tree)
        tree.border_title = say(language, "files.title")
        opened, terminal = self.query_one("#file", VerticalScroll), self.query_one("#terminal", VerticalScroll)
        opened.border_title = Content(self.opened or say(language, "files.none"))
        terminal.border_title = say(language, "panel.console.title")
        tree.border_subtitle = say(language, "files.keys")
        self.query_one(KeyLine).show(Grain.PHASE, language, has_text=False)
        if view is None:
            return
        shown = in_language(view.text, language) if view.failed else view.text
        text = Content(shown if not self.opened or shown else say(language, "files.empty"))
        self.query_one("#text", Static).update(text.stylize(styles.FAILED) if view.failed else text)
        self.query_one("#printed", Static).update(Content(view.console))
        self.call_after_refresh(terminal.scroll_end, animate=False)

    @on(Tree.NodeExpanded)
    def _expand(self, event: Tree.NodeExpanded[str]) -> None:
        if event.node.data is not None and event.node.data not in self._expanded:
            self._expanded.add(event.node.data)
            self._refresh()

    @on(Tree.NodeCollapsed)
    def _collapse(self, event: Tree.NodeCollapsed[str]) -> None:
        self._expanded.discard(event.node.data or "-")

    @on(Tree.NodeSelected)
    def _select(self, event: Tree.NodeSelected[str]) -> None:
        if event.node.data is not None and not event.node.allow_expand:
            self.opened = event.node.data
            self._refresh()

    # What actions call

    def action_perform(self, name: str) -> None:
        """Carry out an action of the registry.

        Args:
            name: its id.
        """
        for action in FILES_ACTIONS:
            if action.id == name:
                action.run(self)
        super().action_perform(name)

    def type_line(self) -> None:
        """Ask for a command; what it changes is marked."""

        def answered(text: str | None) -> None:
            if text:
                self._typed.append(text)
                if self.view is not None:
                    self._known = self.view.digests
                self._refresh(self._type_motion(text))

        self.app.push_screen(LineScreen(self.language, tuple(self._typed)), answered)

    def leave(self) -> None:
        """Back to the lab."""
        self.dismiss()
