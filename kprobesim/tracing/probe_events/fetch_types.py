"""The types an argument of a probe event can have: Linux kernel/trace/trace_probe.c, probe_fetch_types."""

from __future__ import annotations

from typing import Final, NamedTuple

from kprobesim.errors import LinuxError
from kprobesim.tracing.kstrto import kstrtoul

__all__ = ["DEFAULT_TYPE", "FetchType", "find_fetch_type"]

DEFAULT_TYPE: Final = "x64"


class FetchType(NamedTuple):
    """``struct fetch_type``.

    Attributes:
        name: as it is written behind the colon.
        size: bytes in the record; a string has a 32-bit location there.
        is_signed: what the format file says.
        is_string: the record holds a location, the text lies behind the fixed part.
        fmt: of the format file's print fmt.
        fmttype: the field's type in the format file.
    """

    name: str
    size: int
    is_signed: bool
    is_string: bool
    fmt: str
    fmttype: str


def _basic() -> dict[str, FetchType]:
    types = {}
    for bits in (8, 16, 32, 64):
        long = "L" if bits == 64 else ""
        types[f"u{bits}"] = FetchType(f"u{bits}", bits // 8, False, False, f"%{long}u", f"u{bits}")
        types[f"s{bits}"] = FetchType(f"s{bits}", bits // 8, True, False, f"%{long}d", f"s{bits}")
        types[f"x{bits}"] = FetchType(f"x{bits}", bits // 8, False, False, f"0x%{long}x", f"u{bits}")
    types["symbol"] = FetchType("symbol", 8, False, False, "%pS", "u64")
    for name in ("string", "ustring", "symstr"):
        types[name] = FetchType(name, 4, True, True, '\\"%s\\"', "__data_loc char[]")
    return types


_TYPES: Final = _basic()


def find_fetch_type(name: str | None) -> FetchType | None:
    """The type of this name, or None; a bitfield has the type of its container.

    Args:
        name: what stands behind the colon, without an array's brackets; None: nothing does.
    """
    if name is None:
        name = DEFAULT_TYPE
    if name.startswith("b"):
        _, slash, container = name.partition("/")
        try:
            return _TYPES.get(f"u{kstrtoul(container)}") if slash else None
        except LinuxError:
            return None
    return _TYPES.get(name)
