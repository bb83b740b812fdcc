"""Tokens of a classic filter's text, with their places.

Follows Linux tools/bpf/bpf_exp.l: letters' case is nothing, lines end nothing, comments are ``; ...``, ``/* ... */``
and lines that begin with ``#``.
"""

import re
from dataclasses import dataclass

from kprobesim.bpf.errors import AsmError

__all__ = ["Token", "Tokens"]

_PATTERN = re.compile(
    r"(?P<skip>\s+|;[^\n]*|^\#[^\n]*|/\*.*?\*/)"
    r"|(?P<num>0[xX][0-9a-fA-F]+|0[bB][01]+|-?[0-9]+)(?![A-Za-z0-9_])"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<op>[\[\]()#%:,+*&])",
    re.MULTILINE | re.DOTALL,
)
_MAX_DIGITS = 40
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Token:
    """``kind`` is num, word, op or end; ``text`` in lower case but for labels' sake also as ``written``."""

    kind: str
    text: str
    written: str
    at: int

    @property
    def shown(self) -> str:
        """What an error message says of it."""
        return repr(self.written[:_SHOWN])


class Tokens:
    """The tokens of a text and a place among them.

    Raises:
        AsmError: a character that means nothing.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[Token] = []
        self._at = 0
        at = 0
        while at < len(text):
            match = _PATTERN.match(text, at)
            if match is None:
                raise self.error_at(at, f"{text[at]!r} has no meaning here")
            if match.lastgroup != "skip":
                self._tokens.append(Token(match.lastgroup or "", match[0].lower(), match[0], at))
            at = match.end()
        self._end = Token("end", "", "", len(text.rstrip()))

    def error_at(self, at: int, message: str, expected: str = "", hint: str = "") -> AsmError:
        """An error that points at a place of the text."""
        start = self._text.rfind("\n", 0, at) + 1
        line = self._text[start:].split("\n", 1)[0]
        return AsmError(
            message,
            line=self._text.count("\n", 0, at) + 1,
            column=at - start + 1,
            text=line[: at - start + _SHOWN],
            expected=expected,
            hint=hint,
        )

    def error(self, message: str, expected: str = "", hint: str = "") -> AsmError:
        """An error that points at the next token."""
        return self.error_at(self.peek.at, message, expected, hint)

    @property
    def peek(self) -> Token:
        """The next token."""
        return self.ahead(0)

    def ahead(self, count: int) -> Token:
        """The token ``count`` after the next."""
        at = self._at + count
        return self._tokens[at] if at < len(self._tokens) else self._end

    def next(self) -> Token:
        """The next token, and step over it."""
        token = self.peek
        self._at += 1
        return token

    def take(self, text: str) -> bool:
        """Step over this token if it stands here."""
        if self.peek.kind != "end" and self.peek.text == text:
            self._at += 1
            return True
        return False

    def need(self, *texts: str) -> None:
        """Step over exactly these tokens; AsmError if they are not there."""
        for text in texts:
            if not self.take(text):
                raise self.misfit(repr(text))

    def misfit(self, expected: str) -> AsmError:
        """The next token, or the text's end, is not what should stand there."""
        found = "the text ends too early" if self.peek.kind == "end" else f"{self.peek.shown} does not fit here"
        return self.error(found, expected)

    def number(self) -> int:
        """A number as 32 bits, a minus sign understood; AsmError for what is none, or too large."""
        self.take("+")
        token = self.peek
        if token.kind != "num":
            raise self.misfit("a number")
        digits = token.text
        octal = digits.startswith("0") and digits.isdigit() and len(digits) > 1
        try:
            value = int(digits, 8 if octal else 0) if len(digits) <= _MAX_DIGITS else 1 << 32
        except ValueError:
            raise self.error(f"{token.shown} is no number", hint="A leading 0 means octal.") from None
        if not -(1 << 31) <= value < 1 << 32:
            raise self.error("the number does not fit 32 bits")
        self._at += 1
        return value & 0xFFFFFFFF
