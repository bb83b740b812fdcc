"""What a value must be: ``14``, ``"vfs_read+0x0"``, or a table such as ``{ ge = 1, lt = 10 }``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kprobesim.course.strict import Strict
from kprobesim.errors import BadInput

if TYPE_CHECKING:
    from kprobesim.lab import Lab

__all__ = [
    "AT_LEAST_ONE",
    "COMPARISONS",
    "Condition",
    "as_number",
    "as_text",
    "read_condition",
    "read_conditions",
    "read_optional_condition",
]

COMPARISONS: Final[dict[str, str]] = {
    "eq": "=", "ne": "≠", "lt": "<", "le": "≤", "gt": ">", "ge": "≥", "contains": "∋",
}  # fmt: skip
_ORDER: Final[dict[str, Callable[[int, int], bool]]] = {
    "lt": int.__lt__, "le": int.__le__, "gt": int.__gt__, "ge": int.__ge__,
}  # fmt: skip
_MAX: Final = 1 << 64


@dataclass(frozen=True)
class Condition:
    """Comparisons that must all hold.

    Attributes:
        tests: name of the comparison and what to compare with, a number or a text. A text can be a place in the
            kernel, which equals its address.
    """

    tests: tuple[tuple[str, int | str], ...]

    def holds(self, lab: Lab, value: Any) -> bool:
        """Whether a value of an event, a register or memory is what it must be."""
        return all(_holds(lab, name, value, wanted) for name, wanted in self.tests)

    def __str__(self) -> str:
        return ", ".join(f"{COMPARISONS[name]} {wanted}" for name, wanted in self.tests)


AT_LEAST_ONE: Final = Condition((("ge", 1),))


def read_condition(table: Strict, key: str, value: Any) -> Condition:
    """A condition as a lesson's file writes it.

    Raises:
        BadInput: it is none.
    """
    tests = value.items() if isinstance(value, dict) else [("eq", value)]
    found: list[tuple[str, int | str]] = []
    for name, wanted in tests:
        if name not in COMPARISONS:
            table.refuse(f"{key}: {name[:40]!r} is not a comparison.", key, hint=f"Allowed: {', '.join(COMPARISONS)}.")
        is_number = isinstance(wanted, int) and not isinstance(wanted, bool) and -_MAX < wanted < _MAX
        if not is_number and not (isinstance(wanted, str) and len(wanted) <= 1000):
            table.refuse(f"{key}: compare with a number or a text.", key)
        if name == "contains" and not isinstance(wanted, str):
            table.refuse(f"{key}: contains needs a text.", key)
        found.append((name, wanted))
    if not found:
        table.refuse(f"{key} says nothing.", key)
    return Condition(tuple(found))


def read_optional_condition(table: Strict, key: str) -> Condition | None:
    """The condition under a key; None if there is none."""
    given = table.any(key)
    return None if given is None else read_condition(table, key, given)


def read_conditions(table: Strict, key: str) -> Mapping[str, Condition]:
    """A table of conditions by field."""
    value = table.any(key)
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > 16:
        table.refuse(f"{key} must be a table of at most 16 fields.", key)
    return {name: read_condition(table, key, wanted) for name, wanted in value.items()}


def as_number(lab: Lab, value: Any) -> int | None:
    """A value as an unsigned number: numbers, hexadecimal and decimal digits, places in the kernel, bytes in the order
    of memory; None if it is none of these."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value & (_MAX - 1)
    if isinstance(value, bytes):
        return int.from_bytes(value, "little") if len(value) <= 8 else None
    if not isinstance(value, str) or not value or len(value) > 200:
        return None
    text = value.strip().replace("_", "")
    for base in (10, 0):
        try:
            return int(text, base) & (_MAX - 1)
        except ValueError:
            continue
    return _place(lab, value.strip())


def as_text(lab: Lab, value: Any) -> str:
    """A value as people write it."""
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, int) and value > 0xFFFF_8000_0000_0000:
        return lab.symbolize(value)
    return str(value)


def _place(lab: Lab, text: str) -> int | None:
    name, plus, offset = text.partition("+")
    if not name or name[0].isdigit():
        return None
    try:
        distance = int(offset, 0) if plus else 0
        return lab.kernel.symbol(name) + distance if lab.kernel.has_symbol(name) else None
    except (ValueError, BadInput):
        return None


def _holds(lab: Lab, name: str, value: Any, wanted: int | str) -> bool:
    if name == "contains":
        return str(wanted) in as_text(lab, value)
    if name in _ORDER:
        mine, other = as_number(lab, value), as_number(lab, wanted)
        return mine is not None and other is not None and _ORDER[name](mine, other)
    return _same(lab, value, wanted) == (name == "eq")


def _same(lab: Lab, value: Any, wanted: int | str) -> bool:
    if isinstance(value, bytes) and isinstance(wanted, str):
        return value.hex() == wanted.replace(" ", "").lower()
    if isinstance(value, str) and isinstance(wanted, str) and value.strip().lower() == wanted.strip().lower():
        return True
    mine, other = as_number(lab, value), as_number(lab, wanted)
    return mine is not None and mine == other
