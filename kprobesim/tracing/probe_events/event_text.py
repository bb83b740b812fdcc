"""Records of probe events as text, and the formula for it that other programs read.

Follows Linux 6.1 kernel/trace/trace_probe.c (__set_print_fmt) and trace_kprobe.c (print_kprobe_event,
print_kretprobe_event).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from kprobesim.kprobes import RunningKernel
from kprobesim.tracing.probe_events.fetch_parse import ProbeArg

__all__ = ["args_fmt", "print_args", "print_fmt", "print_record"]

_LOC: Final = struct.Struct("<I")


def print_fmt(is_return: bool, args: Sequence[ProbeArg]) -> str:
    """What stands behind ``print fmt: ``.

    Args:
        is_return: the event is one of a return probe.
        args: its arguments.
    """
    if is_return:
        return args_fmt("(%lx <- %lx)", ["REC->__probe_func", "REC->__probe_ret_ip"], args)
    return args_fmt("(%lx)", ["REC->__probe_ip"], args)


def args_fmt(head: str, values: list[str], args: Sequence[ProbeArg]) -> str:
    """``__set_print_fmt``: a formula with the arguments behind what stands before them.

    Args:
        head: the format of that.
        values: what its letters stand for.
        args: the arguments.
    """
    for arg in args:
        one = arg.type.fmt
        head += f" {arg.name}=" + ("{" + ",".join([one] * arg.count) + "}" if arg.count else one)
        access = "__get_str({})" if arg.type.is_string else "REC->{}"
        names = [f"{arg.name}[{n}]" for n in range(arg.count)] if arg.count else [arg.name]
        values = values + [access.format(name) for name in names]
    return ", ".join([f'"{head}"', *values])


def print_record(name: str, is_return: bool, args: Sequence[ProbeArg], record: bytes, kernel: RunningKernel) -> str:
    """A record as the trace shows it, without the columns before the event's name (TFS-10, TFS-11).

    Args:
        name: of the event.
        is_return: it is one of a return probe.
        args: its arguments.
        record: its bytes.
        kernel: for symbols.
    """
    symbols = kernel.kallsyms
    if is_return:
        func, ret_ip = struct.unpack_from("<2Q", record, 8)
        place = symbols.lookup_size_offset(func)
        where = f"{symbols.sprint_symbol(ret_ip)} <- {place[0].name if place else f'0x{func:x}'}"
    else:
        where = symbols.sprint_symbol(struct.unpack_from("<Q", record, 8)[0])
    return " ".join([f"{name}: ({where})", *print_args(args, record, 24 if is_return else 16, kernel)])


def print_args(args: Sequence[ProbeArg], record: bytes, start: int, kernel: RunningKernel) -> list[str]:
    """``print_probe_args``: each argument as ``NAME=VALUE``.

    Args:
        args: of the event.
        record: its bytes.
        start: where the arguments begin in it.
        kernel: for symbols.
    """
    words = []
    for arg in args:
        at = start + arg.offset
        texts = [_print_value(arg, record, at + n * arg.type.size, kernel) for n in range(arg.count or 1)]
        words.append(f"{arg.name}=" + ("{" + ",".join(texts) + "}" if arg.count else texts[0]))
    return words


def _print_value(arg: ProbeArg, record: bytes, at: int, kernel: RunningKernel) -> str:
    """``PRINT_TYPE_FUNC_NAME``: one value (FET-04)."""
    kind = arg.type
    if kind.is_string:
        (location,) = _LOC.unpack_from(record, at)
        length, offset = location >> 16, location & 0xFFFF
        if not length:
            return "(fault)"
        text = record[offset:].split(b"\0")[0]
        return f'"{text.decode("latin-1")}"'
    value = int.from_bytes(record[at : at + kind.size], "little", signed=kind.is_signed)
    if kind.name == "symbol":
        return kernel.kallsyms.sprint_symbol(value)
    return f"0x{value:x}" if kind.name.startswith("x") else str(value)
