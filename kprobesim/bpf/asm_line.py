"""One line of assembly text: its tokens with their columns, and errors that point at them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from kprobesim.bpf.errors import AsmError

__all__ = ["Line", "Token", "near", "register"]

_PATTERN = re.compile(
    r"\s+|(?P<num>0[xX][0-9a-fA-F]+|[0-9]+)|(?P<word>[A-Za-z_.][A-Za-z0-9_.]*)"
    r"|(?P<op>s>>=|<<=|>>=|s/=|s%=|s>=|s<=|s>|s<|[-+*/|&%^]=|==|!=|>=|<=|[-+*&=<>()\[\]:,#@!|^/%])"
)
_SIGNED_WORD = re.compile(r"s(>>=|/=|%=|>=|<=|>|<)")


@dataclass(frozen=True, slots=True)
class Token:
    """``kind`` is num, word, op or end; ``column`` counts from 1."""

    kind: str
    text: str
    column: int


def near(word: str, known: Iterable[str]) -> str:
    """``Did you mean 'x'?`` for the known word that is most like this one, or nothing."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else ""


class Line:
    """The tokens of one line and a place among them."""

    def __init__(self, text: str, number: int) -> None:
        self.text = text
        self.number = number
        self.tokens: list[Token] = []
        self.at = 0
        at = 0
        while at < len(text):
            signed = _SIGNED_WORD.match(text, at)
            match = signed or _PATTERN.match(text, at)
            if text[at] == ";" or self._comment(at):
                break
            if match is None:
                raise self.error(f"{text[at]!r} has no meaning here", column=at + 1)
            if signed:
                self.tokens.append(Token("op", signed[0], at + 1))
            elif match.lastgroup:
                self.tokens.append(Token(match.lastgroup, match[0], at + 1))
            at = match.end()
        self.end = Token("end", "", len(text[:at].rstrip()) + 1)

    def _comment(self, at: int) -> bool:
        """Whether a ``#`` here begins a comment; one between a helper's name and a number does not."""
        if self.text[at] != "#":
            return False
        joined = at > 0 and not self.text[at - 1].isspace()
        lonely = bool(self.tokens) and self.tokens[-1].text == "call"
        return not ((joined or lonely) and re.match(r"#-?[0-9]", self.text[at:]))

    def error(self, message: str, *, column: int | None = None, expected: str = "", hint: str = "") -> AsmError:
        """What is wrong with this line, at a column from 1 or at the token that is next."""
        return AsmError(
            message, line=self.number, column=column or self.peek.column, text=self.text, expected=expected, hint=hint
        )

    @property
    def peek(self) -> Token:
        """The next token."""
        return self.tokens[self.at] if self.at < len(self.tokens) else self.end

    def ahead(self, count: int) -> Token:
        """The token ``count`` after the next."""
        return self.tokens[self.at + count] if self.at + count < len(self.tokens) else self.end

    def next(self) -> Token:
        """The next token, and step over it."""
        token = self.peek
        self.at += 1
        return token

    def misfit(self, expected: str) -> AsmError:
        """The next token, or the line's end, is not what should stand there."""
        found = f"{self.peek.text!r} does not fit here" if self.peek.kind != "end" else "the line ends too early"
        return self.error(found, expected=expected)

    def take(self, text: str) -> bool:
        """Step over this token if it stands here."""
        if self.peek.text == text:
            self.at += 1
            return True
        return False

    def need(self, *texts: str) -> None:
        """Step over exactly these tokens; AsmError if they are not there."""
        for text in texts:
            if not self.take(text):
                raise self.misfit(f"{text!r}")

    def word(self, expected: str) -> Token:
        """A word; AsmError that says what was expected."""
        if self.peek.kind != "word":
            raise self.misfit(expected)
        return self.next()

    def integer(self, expected: str = "a number") -> int:
        """A number with or without sign."""
        sign = -1 if self.take("-") else 1
        if sign == 1:
            self.take("+")
        if self.peek.kind != "num":
            raise self.misfit(expected)
        return sign * int(self.next().text, 0)

    def finish(self) -> None:
        """AsmError if anything is left on the line."""
        if self.peek.kind != "end":
            raise self.error(f"{self.peek.text!r} is left over", expected="the end of the line")


def register(word: str) -> tuple[str, int] | None:
    """``("r", 10)`` for ``r10``; None for what is no register."""
    match = re.fullmatch(r"([rw])(1[0-5]|[0-9])", word)
    return (match[1], int(match[2])) if match else None
