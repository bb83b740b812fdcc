"""What a command of bpftool comes to: text, a JSON value, or an error."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["FAILED", "Answer", "BpftoolError", "Output", "json_text"]

FAILED = 255
"""Exit status after an error: bpftool returns -1."""


class Answer(NamedTuple):
    """What the process leaves: exit status, standard output, standard error."""

    status: int
    out: str
    err: str


class Output(NamedTuple):
    """What a command found, both ways.

    Attributes:
        text: as plain text.
        data: for ``--json``; None prints nothing there.
        status: exit status.
    """

    text: str
    data: Any = None
    status: int = 0


class BpftoolError(Exception):
    """The command failed; the message follows ``Error: `` or is the value of ``"error"``. Empty: in silence."""


class _Writer:
    """The layout of bpftool's JSON: a new line before each name and each closing bracket, and nowhere else."""

    def __init__(self, pretty: bool) -> None:
        self.pretty = pretty
        self.parts: list[str] = []

    def new_line(self, depth: int) -> None:
        if self.pretty:
            self.parts.append("\n" + "    " * depth)

    def write(self, value: Any, depth: int) -> None:
        if isinstance(value, dict):
            self.parts.append("{")
            for number, (name, member) in enumerate(value.items()):
                self.parts.append("," if number else "")
                self.new_line(depth + 1)
                self.parts.append(f"{_quoted(name)}: " if self.pretty else f"{_quoted(name)}:")
                self.write(member, depth + 1)
            self.new_line(depth)
            self.parts.append("}")
        elif isinstance(value, list):
            self.parts.append("[")
            for number, member in enumerate(value):
                self.parts.append("," if number else "")
                self.write(member, depth + 1)
            self.new_line(depth)
            self.parts.append("]")
        elif isinstance(value, bool):
            self.parts.append("true" if value else "false")
        else:
            self.parts.append(_quoted(value) if isinstance(value, str) else str(value))


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\f": "\\f", "\b": "\\b", "'": "\\'"}


def _quoted(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(letter, letter) for letter in text) + '"'


def json_text(value: Any, *, pretty: bool) -> str:
    """A JSON value as bpftool writes it, with the newline at its end."""
    writer = _Writer(pretty)
    writer.write(value, 0)
    return "".join(writer.parts) + "\n"
