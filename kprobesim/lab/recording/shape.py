"""What a recorded input looks like: the arguments of each kind, and how large they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from kprobesim.errors import BadInput
from kprobesim.lab.act_on_programs import LONGEST_OBJECT

__all__ = ["INPUT_KINDS", "REFERRING", "check_input", "whole_number"]

_TEXT: Final = 4095
_PROGRAM: Final = 1 << 20
_WORD: Final = (1 << 64) - 1
_MAPS: Final = 64
_PAGES: Final = 1 << 16
_MAP: Final = ("name", "type", "key_size", "value_size", "max_entries", "flags")

# Kind: its arguments. A number is the largest a text may be; a pair is the range of a whole number.
INPUT_KINDS: Final[dict[str, dict[str, Any]]] = {
    "type": {"text": _TEXT},
    "interrupt": {},
    "kprobe": {"where": 200, "name": 64, "disabled": bool},
    "unregister_kprobe": {},
    "fprobe": {"match": 200, "notfilter": 200, "name": 64},
    "unregister_fprobe": {},
    "load": {"name": 64, "verified": bool},
    "load_object": {"name": 255, "bytes": LONGEST_OBJECT},
    "attach": {"program": 64, "where": 200, "section": 32, "returns": bool, "cookie": (0, _WORD)},
    "detach": {},
    "bpf_jit_enable": {"enable": (0, 2)},
    "open_perf_buffer": {"map": 64, "pages": (0, _PAGES), "config": 32},
    "read_perf_buffer": {"map": 64},
    "read_ringbuf": {"map": 64},
    "write_user_ringbuf": {"map": 64, "bytes": _PROGRAM},
    "fill_prog_array": {"map": 64, "index": (0, 0xFFFF_FFFF), "program": 64},
    "poke": {"address": (0, _WORD), "bytes": 8192},
    "set_register": {"register": 8, "value": (0, _WORD), "cpu": (0, 7)},
}
"""Every kind of input that can be recorded, with its arguments."""

REFERRING: Final = frozenset({"unregister_kprobe", "unregister_fprobe", "detach"})
"""Kinds that take away what an earlier input made; ``of`` is its number."""


def check_input(kind: str, data: Mapping[str, Any], where: str) -> None:
    """Whether an input that was read makes sense as far as that can be told without a machine.

    Args:
        kind: what sort of input.
        data: its arguments.
        where: for messages, as ``input 3``.

    Raises:
        BadInput: it does not.
    """
    if kind not in INPUT_KINDS:
        _refuse(where, f"{kind[:40]!r} is not a kind of input", f"Kinds: {', '.join(INPUT_KINDS)}.")
    shape = dict(INPUT_KINDS[kind])
    if kind == "load":
        shape |= {"text": _PROGRAM} if "text" in data else {"insns": _PROGRAM, "type": 64, "license": 128, "maps": list}
        if "section" in data and "insns" in data:
            shape |= {"section": 200}
    if set(data) != set(shape):
        wrong = sorted(set(data) ^ set(shape))[0]
        _refuse(where, f"{kind} needs {', '.join(shape) or 'no arguments'}; {wrong[:40]!r} is wrong")
    for name, wanted in shape.items():
        _check_value(name, data[name], wanted, where)


def _check_value(name: str, value: Any, wanted: Any, where: str) -> None:
    if isinstance(wanted, tuple):
        whole_number(value, f"{where}: {name}", *wanted)
    elif wanted is bool:
        if not isinstance(value, bool):
            _refuse(where, f"{name} must be true or false")
    elif wanted is list:
        _check_maps(value, where)
    elif not isinstance(value, str) or len(value) > wanted:
        _refuse(where, f"{name} must be a text of at most {wanted:,} characters")
    elif name in ("bytes", "insns"):
        try:
            bytes.fromhex(value)
        except ValueError:
            _refuse(where, f"{name} must be hex digits")
        if name == "insns" and len(value) % 16:
            _refuse(where, "insns must be whole instructions of 8 bytes")


def _check_maps(value: Any, where: str) -> None:
    if not isinstance(value, list) or len(value) > _MAPS:
        _refuse(where, f"maps must be a list of at most {_MAPS}")
    for spec in value:
        if not isinstance(spec, dict) or set(spec) != set(_MAP):
            _refuse(where, f"a map needs {', '.join(_MAP)}")
        for name in _MAP:
            if name in ("name", "type"):
                _check_value(name, spec[name], 64, where)
            else:
                whole_number(spec[name], f"{where}: {name}", 0, 0xFFFF_FFFF)


def whole_number(value: Any, what: str, least: int, most: int) -> int:
    """A whole number within limits.

    Raises:
        BadInput: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadInput(f"The recording is damaged: {what} must be a whole number from {least} to {most}.")
    return value


def _refuse(where: str, what: str, hint: str = "") -> NoReturn:
    raise BadInput(f"The recording is damaged: {where}: {what}.", hint=hint)
