"""The request ``verify`` of ``kprobesim bpf batch``."""

from typing import Any

from kprobesim.bpf.isa import decode
from kprobesim.bpf.program import GPL_COMPATIBLE, PROG_TYPES
from kprobesim.bpf.verifier.func_info import ProgramBtf
from kprobesim.bpf.verifier.map_meta import MapMeta, parse_map_spec
from kprobesim.bpf.verifier.verifier import Verdict, verify
from kprobesim.image.btf import HEADER, Btf

__all__ = ["verify_request"]

_STRICT_ALIGNMENT, _ANY_ALIGNMENT, _TEST_STATE_FREQ, _SLEEPABLE = 1, 2, 8, 16
_MAP_BASE = 0xFF11000000000000


def _maps(specs: dict[str, str]) -> dict[int, MapMeta]:
    """By slot; equal descriptions are one map, as a test's fixtures are."""
    made: dict[str, MapMeta] = {}
    found = {}
    for slot, text in specs.items():
        if text not in made:
            made[text] = parse_map_spec(text, _MAP_BASE + 0x1000 * (len(made) + 1))
        found[int(slot)] = made[text]
    return found


def _types(request: dict[str, Any]) -> ProgramBtf | None:
    """The program's own types, if the request has them."""
    if "btf" not in request:
        return None

    def number(name: str) -> int:
        return int(request.get(name, 0)) & 0xFFFF_FFFF

    raw = bytes.fromhex(request["btf"])
    btf = Btf.parse(raw, "btf")
    return ProgramBtf(
        btf,
        HEADER.unpack_from(raw)[-1],
        bytes.fromhex(request.get("func_info", "")),
        number("func_info_cnt"),
        number("func_info_rec_size"),
        bytes.fromhex(request.get("line_info", "")),
        number("line_info_cnt"),
        number("line_info_rec_size"),
    )


def verify_request(request: dict[str, Any]) -> Verdict:
    """Verify the program of a request: ``insns`` in hex, ``prog_type``, ``maps`` by slot, ``flags``, ``log_level``,
    ``unpriv``, ``license``, ``attach_type``; of a program with types ``btf``, ``func_info``, ``line_info`` in hex, and
    of the latter two ``_cnt`` and ``_rec_size``, as BPF_PROG_LOAD has them.

    Raises:
        ValueError, KeyError, ImageError: it makes no sense.
    """
    prog_type = str(request.get("prog_type", "KPROBE")).lower()
    if prog_type not in PROG_TYPES:
        raise ValueError(f"there is no program type {prog_type!r}")
    flags = int(request.get("flags", 0))
    return verify(
        decode(bytes.fromhex(request["insns"])),
        prog_type,
        _maps(request.get("maps") or {}),
        log_level=int(request.get("log_level", 1)),
        unpriv=bool(request.get("unpriv", False)),
        strict_alignment=bool(flags & _STRICT_ALIGNMENT and not flags & _ANY_ALIGNMENT),
        test_state_freq=bool(flags & _TEST_STATE_FREQ),
        sleepable=bool(flags & _SLEEPABLE),
        attach_type=str(request.get("attach_type", "")).lower().removeprefix("bpf_"),
        gpl_compatible=request.get("license", "GPL") in GPL_COMPATIBLE,
        types=_types(request),
    )
