"""An object's program before the verifier, with what its types say: source lines, functions, maps."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kprobesim.bpf.isa import Insn, Pseudo
from kprobesim.bpf.object.btf_ext import FuncInfo, LineInfo
from kprobesim.bpf.object.records import BpfObject, Function, ObjectProgram
from kprobesim.bpf.object.value_fields import ValueFields, value_fields
from kprobesim.bpf.program import GPL_COMPATIBLE
from kprobesim.bpf.verifier import MapMeta, ProgramBtf, Rejected, Verdict, verify
from kprobesim.image import Btf

__all__ = ["object_map_meta", "replace_dead_code", "verify_object_program"]

_MAP_BASE = 0xFF11000000000000
_BY_INDEX = (Pseudo.MAP_IDX, Pseudo.MAP_IDX_VALUE)
_GLOBAL = 1
_NEXT = Insn(0x05, off=-1)


def object_map_meta(found: BpfObject, number: int, address: int | None = None) -> MapMeta:
    """The verifier's view of a map of an object.

    Args:
        found: the object.
        number: the map's number, which gives it an address to print while it is in no memory.
        address: the address that it has, if it is.
    """
    made = found.maps[number]
    spec, inner = made.spec, made.inner
    fields = ValueFields() if found.btf is None else value_fields(found.btf, made.value_type, found.kernel_btf)
    typed = bool(made.key_type or made.value_type)
    if not fields.fit(spec):
        fields, typed = ValueFields(), False
    return MapMeta(
        spec.type,
        spec.key_size,
        spec.value_size,
        spec.max_entries,
        spec.flags,
        spec.name,
        _MAP_BASE + 0x1000 * (number + 1) if address is None else address,
        inner=MapMeta(inner.type, inner.key_size, inner.value_size, inner.max_entries, inner.flags) if inner else None,
        frozen=made.frozen,
        content=made.initial if made.frozen else b"",
        spin_lock_off=fields.spin_lock,
        timer_off=fields.timer,
        kptrs=fields.kptrs,
        lacks=fields.lacks,
        has_btf=typed,
    )


def verify_object_program(
    found: BpfObject, program: ObjectProgram, metas: Sequence[MapMeta] | None = None, **options: Any
) -> Verdict:
    """Verify one program of an object.

    Args:
        found: the object.
        program: one of its programs.
        metas: the verifier's view of its maps, by number; of maps in no memory unless given.
        options: those of ``verify``, such as ``log_level``; ``btf`` are the types that it was relocated against.

    Returns:
        The verdict. A refusal because the kernel lacks something names it in its hint.
    """
    if metas is None:
        metas = [object_map_meta(found, number) for number in range(len(found.maps))]
    known = metas
    options.setdefault("btf", found.kernel_btf)

    def map_at(slot: int, insn: Insn) -> MapMeta | None:
        return known[insn.imm] if insn.src in _BY_INDEX and 0 <= insn.imm < len(known) else None

    target = program.target
    verdict = verify(
        program.insns,
        program.type,
        map_at,
        attach_type=target.attach_type,
        attach_func=target.attach_func,
        gpl_compatible=found.license in GPL_COMPATIBLE,
        sleepable=target.sleepable,
        source_lines=program.source_lines,
        types=_types(found, program),
        **options,
    )
    if verdict.rejected is not None:
        _explain(verdict.rejected, program.unresolved)
    return verdict


def _types(found: BpfObject, program: ObjectProgram) -> ProgramBtf | None:
    """What libbpf tells the kernel of the program's functions and lines."""
    if found.btf is None:
        return None
    functions, func_size = _joined(program.func_info)
    lines, line_size = _joined(program.lines)
    btf = _with_hidden_functions_static(found.btf, program.functions)
    counts = len(program.func_info), len(program.lines)
    return ProgramBtf(btf, found.strings_size, functions, counts[0], func_size, lines, counts[1], line_size)


def _joined(records: Sequence[FuncInfo] | Sequence[LineInfo]) -> tuple[bytes, int]:
    """Records one after the other, each with its place in the program, and the size of one."""
    joined = b"".join((one.slot & 0xFFFF_FFFF).to_bytes(4, "little") + one.record[4:] for one in records)
    return joined, len(records[0].record) if records else 0


def _with_hidden_functions_static(btf: Btf, functions: Sequence[Function]) -> Btf:
    """The types, with functions that other files cannot see as static ones: the kernel looks into these."""
    hidden = [one.type_id for one in functions if not one.is_global and one.type_id < len(btf)]
    hidden = [number for number in hidden if btf.types[number].linkage == _GLOBAL]
    if not hidden:
        return btf
    types = list(btf.types)
    for number in hidden:
        types[number] = replace(types[number], linkage=0)
    return Btf(tuple(types))


def _explain(rejected: Rejected, unresolved: Mapping[int, str]) -> None:
    missing = unresolved.get(rejected.insn if rejected.insn is not None else -1)
    if missing:
        rejected.hint = f"CO-RE: this kernel has no {missing}. Ask with bpf_core_field_exists() before."


def replace_dead_code(insns: Sequence[Insn], seen: bytes) -> tuple[Insn, ...]:
    """The program with every instruction that no path reaches replaced by one that goes nowhere.

    As Linux kernel/bpf/verifier.c:sanitize_dead_code does it. What is behind a question such as
    ``bpf_core_field_exists()`` may call what does not exist.
    """
    return tuple(insn if alive else _NEXT for insn, alive in zip(insns, seen, strict=True))
