"""Which records of an event are kept: the ``filter`` files.

Follows Linux 6.1 kernel/trace/trace_events_filter.c: calc_stack, predicate_parse, parse_pred, append_filter_err.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno
from kprobesim.tracing.ctype import isdigit, isspace
from kprobesim.tracing.kstrto import kstrtol, kstrtoul

__all__ = ["FILTER_ERRORS", "EventFilter", "FilterError", "FilterField", "parse_filter"]

FILTER_ERRORS: Final = {
    "INVALID_OP": "Invalid operator",
    "TOO_MANY_OPEN": "Too many '('",
    "TOO_MANY_CLOSE": "Too few '('",
    "MISSING_QUOTE": "Missing matching quote",
    "OPERAND_TOO_LONG": "Operand too long",
    "EXPECT_STRING": "Expecting string field",
    "EXPECT_DIGIT": "Expecting numeric field",
    "ILLEGAL_FIELD_OP": "Illegal operation for field type",
    "FIELD_NOT_FOUND": "Field not found",
    "ILLEGAL_INTVAL": "Illegal integer value",
    "BAD_SUBSYS_FILTER": "Couldn't find or set field in one of a subsystem's events",
    "TOO_MANY_PREDS": "Too many terms in predicate expression",
    "INVALID_FILTER": "Meaningless filter expression",
    "INVALID_VALUE": "Invalid value (did you forget quotes)?",
    "ERRNO": "Error",
    "NO_FILTER": "No filter found",
}
_OPS: Final = ("~", "!=", "==", "<=", "<", ">=", ">", "&")
_MAX_FILTER_STR_VAL: Final = 256
_NUM_BUF: Final = 24
_LOC: Final = struct.Struct("<I")

Predicate = Callable[[bytes, int, str], bool]


class FilterField(NamedTuple):
    """A field of a record.

    Attributes:
        name, type: as the format file has them.
        offset, size: in bytes, in the record.
        is_signed: how numbers compare.
        is_text: the field holds the location of a text, or is an array of ``char`` that holds it itself.
        length: elements of an array, or 0.
    """

    name: str
    type: str
    offset: int
    size: int
    is_signed: bool
    is_text: bool = False
    length: int = 0


_GENERIC: Final = (
    FilterField("CPU", "int", 0, 4, True),
    FilterField("cpu", "int", 0, 4, True),
    FilterField("COMM", "char *", 0, 8, False, True),
    FilterField("comm", "char *", 0, 8, False, True),
)


@dataclass(frozen=True)
class EventFilter:
    """A filter that is set.

    Attributes:
        text: what the file reads: the expression, or the expression with what is wrong with it.
        keep: whether a record is kept, from its bytes, the CPU and the task's name; None: the expression was wrong.
    """

    text: str
    keep: Predicate | None

    def matches(self, record: bytes, cpu: int, comm: str) -> bool:
        """``filter_match_preds``: an expression that was wrong keeps everything."""
        return self.keep is None or self.keep(record, cpu, comm)


class FilterError(LinuxError):
    """An expression that makes no sense.

    Args:
        code: key of `FILTER_ERRORS`; empty: Linux says only that there is an error.
        position: column in the expression.
        errno: what the write returns; some are odd, as Linux lets internal numbers through.
    """

    def __init__(self, code: str, position: int, errno: Errno) -> None:
        super().__init__(errno, FILTER_ERRORS.get(code, "Error") + ".")
        self.code = code
        self.position = position

    def shown(self, text: str) -> str:
        """What the filter file reads from now on (``append_filter_err``)."""
        if not self.code:
            return f"{text}\nError: (0)\n"
        column = min(self.position, len(text))
        if column:
            column += 1
        return f"{text}\n{'^':>{column}}\nparse_error: {FILTER_ERRORS[self.code]}\n"


def parse_filter(text: str, fields: Sequence[FilterField]) -> EventFilter:
    """Make a filter of an expression.

    Args:
        text: without blanks at its end.
        fields: those of the event; the first of a name counts.

    Raises:
        FilterError: what is wrong and where.
    """
    _check_brackets(text)
    if not any(not isspace(letter) and letter not in "()" for letter in text):
        raise FilterError("", 0, Errno.EINVAL)
    parser = _Parser(text, {field.name: field for field in (*_GENERIC, *reversed(fields))})
    keep, _ = parser.expression(0)
    return EventFilter(text, keep)


def _check_brackets(text: str) -> None:
    """``calc_stack``: its internal -1, -2 and -3 are what the write returns, read as errno."""
    quote, last_quote = "", 0
    opened: list[int] = []
    for position, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote, last_quote = letter, position
        elif letter == "(":
            opened.append(position)
        elif letter == ")":
            if not opened:
                raise FilterError("TOO_MANY_CLOSE", position, Errno.EPERM)
            opened.pop()
    if quote:
        raise FilterError("MISSING_QUOTE", last_quote, Errno.ESRCH)
    if opened:
        raise FilterError("TOO_MANY_OPEN", opened[-1], Errno.ENOENT)


class _Parser:
    """Recursive descent over an expression whose brackets match.

    Args:
        text: the expression.
        fields: by name.
    """

    def __init__(self, text: str, fields: dict[str, FilterField]) -> None:
        self._text = text
        self._fields = fields

    def _skip(self, at: int) -> int:
        while at < len(self._text) and isspace(self._text[at]):
            at += 1
        return at

    def expression(self, at: int) -> tuple[Predicate, int]:
        """Operands joined by && and ||, up to the end or a closing bracket."""
        first, at = self._operand(at)
        either: list[list[Predicate]] = [[first]]
        while True:
            at = self._skip(at)
            joint = self._text[at : at + 2]
            if not joint or joint[0] == ")":
                return _any_of(either), at
            if joint not in ("&&", "||"):
                raise FilterError("TOO_MANY_PREDS", at, Errno.EPERM)
            operand, at = self._operand(at + 2)
            if joint == "&&":
                either[-1].append(operand)
            else:
                either.append([operand])

    def _operand(self, at: int) -> tuple[Predicate, int]:
        at = self._skip(at)
        here = self._text[at : at + 1]
        if not here:
            raise FilterError("INVALID_FILTER", at, Errno.EINVAL)
        if here == "(":
            inner, at = self.expression(at + 1)
            return inner, at + 1
        if here == "!" and self._text[at + 1 : at + 2] not in ("=", "~"):
            inner, at = self._operand(at + 1)
            return _inverse(inner), at
        return self._predicate(at)

    def _predicate(self, start: int) -> tuple[Predicate, int]:
        """``parse_pred``: field, operator, value. Linux counts its columns from one past the start."""
        text = self._text
        name = re.compile(r"[A-Za-z0-9_]*").match(text, start)
        assert name is not None
        if not name[0]:
            raise FilterError("", 0, Errno.EPERM)
        at = name.end()
        field = self._fields.get(name[0])
        if field is None:
            raise FilterError("FIELD_NOT_FOUND", at + 1, Errno.EINVAL)
        at = self._skip(at + len(".ustring") * text.startswith(".ustring", at))
        op = next((op for op in _OPS if text.startswith(op, at)), None)
        if op is None:
            raise FilterError("INVALID_OP", at + 1, Errno.EINVAL)
        at = self._skip(at + len(op))
        value = text[at : at + 1]
        if value and value in "'\"":
            return self._text_predicate(field, op, at)
        if isdigit(value) or value == "-":
            return self._number_predicate(field, op, at)
        raise FilterError("INVALID_VALUE", at + 1, Errno.EINVAL)

    def _text_predicate(self, field: FilterField, op: str, at: int) -> tuple[Predicate, int]:
        if op not in ("~", "==", "!="):
            raise FilterError("ILLEGAL_FIELD_OP", at + 1, Errno.EINVAL)
        if not field.is_text:
            raise FilterError("EXPECT_DIGIT", at + 1, Errno.EINVAL)
        end = self._text.index(self._text[at], at + 1)
        pattern = self._text[at + 1 : end]
        if len(pattern) >= _MAX_FILTER_STR_VAL:
            raise FilterError("OPERAND_TOO_LONG", end + 1, Errno.EINVAL)
        inverse = op == "!="
        if op == "~" and pattern.startswith("!"):
            inverse, pattern = True, pattern[1:]
        wanted = re.compile(_glob(pattern) if op == "~" else re.escape(pattern), re.DOTALL)

        def predicate(record: bytes, cpu: int, comm: str) -> bool:
            return (wanted.fullmatch(_text_of(field, record, comm)) is not None) is not inverse

        return predicate, end + 1

    def _number_predicate(self, field: FilterField, op: str, at: int) -> tuple[Predicate, int]:
        if field.is_text:
            raise FilterError("EXPECT_STRING", at + 1, Errno.EINVAL)
        if op == "~":
            raise FilterError("ILLEGAL_FIELD_OP", at + 1, Errno.EINVAL)
        found = re.compile(r"-?[A-Za-z0-9]*").match(self._text, at)
        assert found is not None
        if len(found[0]) >= _NUM_BUF:
            raise FilterError("OPERAND_TOO_LONG", found.end() + 1, Errno.EINVAL)
        try:
            value = kstrtol(found[0]) if field.is_signed else kstrtoul(found[0])
        except LinuxError:
            raise FilterError("ILLEGAL_INTVAL", at + 1, Errno.EINVAL) from None
        return _comparison(field, op, value), found.end()


def _any_of(either: list[list[Predicate]]) -> Predicate:
    if len(either) == 1 and len(either[0]) == 1:
        return either[0][0]
    return lambda record, cpu, comm: any(all(one(record, cpu, comm) for one in every) for every in either)


def _inverse(inner: Predicate) -> Predicate:
    return lambda record, cpu, comm: not inner(record, cpu, comm)


def _comparison(field: FilterField, op: str, value: int) -> Predicate:
    """A number against a constant that is first cut to the field's size (``select_comparison_fn``)."""
    size, signed = field.size, field.is_signed
    if size not in (1, 2, 4, 8):
        return lambda record, cpu, comm: False
    cut = int.from_bytes((value & (1 << 8 * size) - 1).to_bytes(size, "little"), "little", signed=signed)
    compare: Callable[[int], bool] = {
        "==": lambda number: number == cut,
        "!=": lambda number: number != cut,
        "<": lambda number: number < cut,
        "<=": lambda number: number <= cut,
        ">": lambda number: number > cut,
        ">=": lambda number: number >= cut,
        "&": lambda number: number & cut != 0,
    }[op]
    if field.name in ("CPU", "cpu") and field in _GENERIC:
        return lambda record, cpu, comm: compare(cpu)
    start, end = field.offset, field.offset + size
    return lambda record, cpu, comm: compare(int.from_bytes(record[start:end], "little", signed=signed))


def _text_of(field: FilterField, record: bytes, comm: str) -> str:
    if field in _GENERIC:
        return comm
    if not field.type.startswith("__data_loc"):
        return record[field.offset : field.offset + field.size].split(b"\0")[0].decode("latin-1")
    (location,) = _LOC.unpack_from(record, field.offset)
    text = record[location & 0xFFFF :][: location >> 16]
    return text.split(b"\0")[0].decode("latin-1")


def _glob(pattern: str) -> str:
    """A glob (``*``, ``?``, ``[a-z]``, ``[!a-z]``, backslash) as a regular expression."""
    out, at = "", 0
    while at < len(pattern):
        letter = pattern[at]
        close = pattern.find("]", at + 2) if letter == "[" else -1
        if letter == "*":
            out += ".*"
        elif letter == "?":
            out += "."
        elif close > 0:
            inner = pattern[at + 1 : close]
            inverse = inner.startswith("!")
            body = inner[inverse:].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            out += f"[{'^' if inverse else ''}{body}]"
            at = close
        elif letter == "\\" and at + 1 < len(pattern):
            at += 1
            out += re.escape(pattern[at])
        else:
            out += re.escape(letter)
        at += 1
    return out
