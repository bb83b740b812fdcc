"""What is written to a ``trigger`` file behind ``hist:``: Linux 6.1 kernel/trace/trace_events_hist.c.

Keys, values, sorting, size and modifiers; no variables, expressions, actions and named histograms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno
from kprobesim.tracing.ctype import SPACES
from kprobesim.tracing.event_filter import FilterField
from kprobesim.tracing.kstrto import kstrtoul

__all__ = ["HIST_ERRORS", "HistError", "HistField", "HistSpec", "SortKey", "parse_hist", "split_condition"]

HIST_ERRORS: Final = {
    "TRIGGER_EEXIST": "Hist trigger already exists",
    "TRIGGER_ENOENT_CLEAR": "Can't clear or continue a nonexistent hist trigger",
    "SET_CLOCK_FAIL": "Couldn't set trace_clock",
    "BAD_FIELD_MODIFIER": "Invalid field modifier",
    "FIELD_NOT_FOUND": "Couldn't find field",
    "EMPTY_ASSIGNMENT": "Empty assignment",
    "INVALID_SORT_MODIFIER": "Invalid sort modifier",
    "EMPTY_SORT_FIELD": "Empty sort field",
    "TOO_MANY_SORT_FIELDS": "Too many sort fields (Max = 2)",
    "INVALID_SORT_FIELD": "Sort field must be a key or a val",
}
_DEFAULT_BITS, _MIN_BITS, _MAX_BITS = 11, 7, 17
_KEYS_MAX, _VALS_MAX, _SORT_MAX = 3, 3, 2
_KEY_SIZE_MAX: Final = 256 + 16 * 8
_STRING_SIZE: Final = 256
_STACK_SIZE: Final = 16 * 8
_SIMPLE_MODIFIERS: Final = ("hex", "sym", "sym-offset", "syscall", "log2", "usecs")
_NOT_FOR_VALUES: Final = ("buckets", "log2", "sym", "sym-offset", "syscall")


class HistError(LinuxError):
    """A histogram that makes no sense.

    Args:
        code: key of `HIST_ERRORS`; empty: the error log has no entry for it.
        near: the part of the command that the caret is under; empty: its beginning.
        errno: what the write returns.
        message: where there is no code, what is wrong.
    """

    def __init__(self, code: str, near: str = "", errno: Errno = Errno.EINVAL, message: str = "") -> None:
        super().__init__(errno, f"{HIST_ERRORS.get(code, message)}.")
        self.code = code
        self.near = near


class HistField(NamedTuple):
    """A key or a value.

    Attributes:
        name: of the event's field, or ``common_timestamp``, ``common_cpu``, ``stacktrace``, ``hitcount``.
        field: the event's field, None where the name is one of these.
        modifier: how it is shown, or empty.
        buckets: width of the ranges, or 0.
    """

    name: str
    field: FilterField | None
    modifier: str = ""
    buckets: int = 0

    @property
    def is_text(self) -> bool:
        """The key is a text."""
        return self.field is not None and self.field.is_text

    @property
    def shown(self) -> str:
        """As in the ``trigger`` file (``hist_field_print``)."""
        width = f"={self.buckets}" if self.buckets else ""
        return self.name + (f".{self.modifier}" if self.modifier else "") + width


@dataclass(frozen=True)
class SortKey:
    """What is sorted by: a number into hitcount, the other values, and the keys."""

    index: int
    descending: bool


@dataclass(frozen=True)
class HistSpec:
    """What a command asks for.

    Attributes:
        keys, values: the latter without hitcount, which is always the first.
        sort: one or two.
        bits: there is room for ``1 << bits`` entries.
        clock: for timestamps.
        pause, cont, clear: what to do with a histogram that is there already.
    """

    keys: tuple[HistField, ...]
    values: tuple[HistField, ...]
    sort: tuple[SortKey, ...]
    bits: int
    clock: str
    pause: bool
    cont: bool
    clear: bool

    @property
    def has_timestamps(self) -> bool:
        """A field is the time."""
        return any(field.name == "common_timestamp" for field in self.keys + self.values)

    def matches(self, other: HistSpec) -> bool:
        """``hist_trigger_match`` but for the filter: size and clock do not matter."""
        return (self.keys, self.values, self.sort) == (other.keys, other.values, other.sort)

    def show(self) -> str:
        """``event_hist_trigger_print``, up to the filter."""
        columns = [HistField("hitcount", None), *self.values, *self.keys]
        keys = ",".join(key.shown for key in self.keys)
        values = ",".join(value.shown for value in columns[: 1 + len(self.values)])
        sort = ",".join(columns[k.index].shown + (".descending" if k.descending else "") for k in self.sort)
        clock = f":clock={self.clock}" if self.has_timestamps else ""
        return f"hist:keys={keys}:vals={values}:sort={sort}:size={1 << self.bits}{clock}"


def split_condition(text: str) -> tuple[str, str]:
    """The histogram, and ``if`` with what follows it.

    Raises:
        HistError: ``if`` at the beginning or with nothing behind it.
    """
    at = 0
    while (at := text.find("if", at)) >= 0:
        if at == 0:
            raise HistError("", message="A histogram begins with its keys")
        if text[at - 1] in " \t":
            if at >= len(text) - 3:
                raise HistError("", message="Nothing stands behind if")
            if text[at + 2] in " \t":
                return text[: at - 1].strip(SPACES), text[at:].strip(SPACES)
        at += 1
    return text, ""


def parse_hist(text: str, fields: Sequence[FilterField]) -> HistSpec:
    """Parse what stands behind ``hist:``, without the condition.

    Args:
        text: for example ``keys=common_pid.execname:vals=count:sort=count.descending``.
        fields: those of the event, the common ones included.

    Raises:
        HistError: what is wrong.
    """
    given: dict[str, str] = {}
    words: set[str] = set()
    bits = _DEFAULT_BITS
    for part in text.split(":"):
        name, equals, value = part.partition("=")
        if equals and not value:
            raise HistError("EMPTY_ASSIGNMENT", part)
        if equals and name in ("key", "keys"):
            given["keys"] = value
        elif equals and name in ("val", "vals", "values"):
            given["vals"] = value
        elif equals and name in ("sort", "clock"):
            given[name] = value.strip(SPACES)
        elif equals and name == "size":
            bits = _map_bits(value)
        elif part in ("pause", "cont", "continue", "clear"):
            words.add(part)
        else:
            raise HistError("", message=f"{part!r} is no part of a histogram here: no variables, actions, names")
    if "keys" not in given:
        raise HistError("", message="A histogram needs keys=")
    values = _values(given.get("vals", ""), fields)
    keys = _keys(given["keys"], fields)
    return HistSpec(
        keys,
        values,
        _sort_keys(given.get("sort"), [field.name for field in values + keys]),
        bits,
        given.get("clock", "global"),
        "pause" in words,
        "cont" in words or "continue" in words,
        "clear" in words,
    )


def _map_bits(text: str) -> int:
    """``parse_map_size``: the next power of two, from 128 to 131072."""
    size = kstrtoul(text)
    bits = (size - 1).bit_length()
    if not size or not _MIN_BITS <= bits <= _MAX_BITS:
        raise HistError("", message="A histogram has room for 128 to 131072 entries")
    return bits


def _values(text: str, fields: Sequence[FilterField]) -> tuple[HistField, ...]:
    """``create_val_fields``."""
    found = [_field(name, fields, is_key=False) for name in text.split(",") if name != "hitcount"] if text else []
    if len(found) >= _VALS_MAX:
        raise HistError("", message=f"A histogram has at most {_VALS_MAX} values, hitcount included")
    for value in found:
        if value.modifier in _NOT_FOR_VALUES:
            raise HistError("BAD_FIELD_MODIFIER", value.shown)
        if value.is_text:
            raise HistError("", message=f"{value.name} is a text, which cannot be summed up")
    return tuple(found)


def _keys(text: str, fields: Sequence[FilterField]) -> tuple[HistField, ...]:
    """``create_key_fields``."""
    found = tuple(_field(name, fields, is_key=True) for name in text.split(","))
    if len(found) > _KEYS_MAX:
        raise HistError("", message=f"A histogram has at most {_KEYS_MAX} keys")
    sizes = [_STACK_SIZE if key.name == "stacktrace" else _STRING_SIZE if key.is_text else 8 for key in found]
    if sum(sizes) > _KEY_SIZE_MAX:
        raise HistError("", message=f"The keys together have at most {_KEY_SIZE_MAX} bytes")
    return found


def _field(text: str, fields: Sequence[FilterField], *, is_key: bool) -> HistField:
    """``parse_field``: a name, and a modifier behind a dot."""
    if is_key and text == "stacktrace":
        return HistField("stacktrace", None)
    if re.search(r"[-+*/]", text.replace(".sym-offset", "")):
        raise HistError("", message=f"{text!r} is an expression, which histograms here do not have")
    name, dot, modifier = text.partition(".")
    buckets = 0
    if dot:
        modifier, buckets = _modifier(name, modifier, is_key=is_key)
    if name in ("common_timestamp", "common_cpu"):
        return HistField(name, None, modifier, buckets)
    field = next((field for field in fields if field.name == name), None)
    if field is None and name in ("cpu", "CPU"):
        return HistField("common_cpu", None, modifier, buckets)
    if field is None:
        raise HistError("FIELD_NOT_FOUND", name)
    if not field.is_text and field.size not in (1, 2, 4, 8):
        raise LinuxError(Errno.ENOMEM, f"{name} is neither a number nor a text.")
    return HistField(name, field, modifier, buckets)


def _modifier(name: str, modifier: str, *, is_key: bool) -> tuple[str, int]:
    if modifier in _SIMPLE_MODIFIERS or (modifier == "execname" and name == "common_pid"):
        return modifier, 0
    width = re.fullmatch(r"buckets?=(.+)", modifier)
    if width is not None:
        try:
            buckets = kstrtoul(width[1])
        except LinuxError:
            buckets = 0
        if buckets:
            return "buckets", buckets
        modifier = width[1]
    for word in ("percent", "graph"):
        if modifier.startswith(word) and not is_key:
            return word, 0
    raise HistError("BAD_FIELD_MODIFIER", modifier)


def _sort_keys(text: str | None, names: Sequence[str]) -> tuple[SortKey, ...]:
    """``create_sort_keys``."""
    if text is None:
        return (SortKey(0, False),)
    found: list[SortKey] = []
    parts = text.split(",")
    for number, part in enumerate(parts):
        name, dot, modifier = part.partition(".")
        if number == _SORT_MAX - 1 and len(parts) > _SORT_MAX:
            raise HistError("TOO_MANY_SORT_FIELDS", "sort=")
        if not name:
            raise HistError("EMPTY_SORT_FIELD", "sort=")
        if name != "hitcount" and name not in names:
            raise HistError("INVALID_SORT_FIELD", name)
        if dot and modifier not in ("ascending", "descending"):
            raise HistError("INVALID_SORT_MODIFIER", modifier)
        index = 0 if name == "hitcount" else 1 + list(names).index(name)
        found.append(SortKey(index, modifier == "descending"))
    return tuple(found)
