"""Verifying assembly text, with the maps that it declares."""

from typing import Any

from kprobesim.bpf.asm import Assembly
from kprobesim.bpf.isa import Insn, Pseudo
from kprobesim.bpf.object.sections import section_target
from kprobesim.bpf.program import GPL_COMPATIBLE
from kprobesim.bpf.verifier.map_meta import MapMeta
from kprobesim.bpf.verifier.verifier import Verdict, verify

__all__ = ["verify_assembly"]

_MAP_BASE = 0xFF11000000000000
_BY_INDEX = (Pseudo.MAP_IDX, Pseudo.MAP_IDX_VALUE)


def verify_assembly(source: Assembly, **options: Any) -> Verdict:
    """Verify what ``assemble`` made; ``options`` are those of ``verify``.

    Maps by name are the source's; maps by file descriptor are none. Types are taken to come along, as they do from a
    compiler: functions are static unless ``functions`` says otherwise.
    """
    maps = [
        MapMeta(
            spec.type,
            spec.key_size,
            spec.value_size,
            spec.max_entries,
            spec.flags,
            spec.name,
            _MAP_BASE + 0x1000 * number,
            has_btf=True,
        )
        for number, spec in enumerate(source.maps, 1)
    ]

    def map_at(slot: int, insn: Insn) -> MapMeta | None:
        return maps[insn.imm] if insn.src in _BY_INDEX and 0 <= insn.imm < len(maps) else None

    target = section_target(source.section)
    if target is not None:
        options["attach_type"] = options.get("attach_type") or target.attach_type
        options |= {"attach_func": target.attach_func, "sleepable": target.sleepable}
    options.setdefault("static_functions", True)
    options.setdefault("gpl_compatible", (source.license or "GPL") in GPL_COMPATIBLE)
    return verify(source.insns, source.type, map_at, **options)
