"""An object's maps and programs in the running kernel: what bpf_object__load does with the kernel's help."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Final

from kprobesim.bpf import BpfMap, Insn, MapSpec, Program, prog_tag
from kprobesim.bpf.bpffs import sanitize_pin_path
from kprobesim.bpf.isa import Pseudo, is_lddw
from kprobesim.bpf.jit import array_lookups
from kprobesim.bpf.maps.syscall import map_update_elem
from kprobesim.bpf.object import BpfObject, Kernel, ObjectMap, ObjectProgram
from kprobesim.bpf.object.verify import object_map_meta, replace_dead_code, verify_object_program
from kprobesim.errors import BadInput, LinuxError
from kprobesim.kprobes import RunningKernel
from kprobesim.machine import PAGE_SIZE
from kprobesim.tracing.bpf import BpfPrograms
from kprobesim.tracing.bpf_ids import MapTypes, ProgramTypes

__all__ = ["LoadedObject", "fitted", "kernel_of", "load_into", "plan_names"]

_WITHOUT_TYPES: Final = frozenset(
    {"perf_event_array", "cgroup_array", "stack_trace", "array_of_maps", "hash_of_maps", "devmap", "devmap_hash"}
    | {"cpumap", "xskmap", "sockmap", "sockhash", "queue", "stack", "reuseport_sockarray"}
)
"""Kinds of map that libbpf makes without types, as the kernel would not take them."""


@dataclass(frozen=True)
class LoadedObject:
    """Where an object's parts are in the kernel.

    Attributes:
        found: the object.
        maps: its maps' names -> the names by which the lab knows them.
        programs: likewise for the programs that are loaded.
    """

    found: BpfObject
    maps: Mapping[str, str]
    programs: Mapping[str, str]


def kernel_of(kernel: RunningKernel) -> Kernel:
    """A running kernel as objects are relocated against it."""

    def address_of(name: str) -> int | None:
        symbols = kernel.kallsyms.lookup_name(name)
        return symbols[0].address if symbols else None

    return Kernel(kernel.btf, address_of)


def plan_names(found: BpfObject, programs: BpfPrograms, extra: Container[str] = ()) -> LoadedObject:
    """Choose names for an object's parts, next to those that are in the kernel already.

    Names need not be unique in Linux; here a second ``count`` is called ``count.2``. A pinned map that is there already
    is used again.

    Args:
        found: the object.
        programs: what is in the kernel.
        extra: programs to load though their section's name begins with ``?``.
    """
    maps: dict[str, str] = {}
    for made in found.maps:
        taken = {*programs.maps, *maps.values()}
        maps[made.name] = _pinned(programs, made) or _unique(made.spec.name, taken)
    chosen: dict[str, str] = {}
    for program in found.programs:
        if program.target.autoload or program.name in extra:
            chosen[program.name] = _unique(program.name, {*programs.programs, *chosen.values()})
    return LoadedObject(found, maps, chosen)


def _pinned(programs: BpfPrograms, made: ObjectMap) -> str:
    """The map that has the name which this one asks for under /sys/fs/bpf; nothing where there is none."""
    if not made.pinned:
        return ""
    path = sanitize_pin_path(made.name)
    return next((name for name, there in programs.maps.items() if path in programs.user.bpffs.paths_of(there)), "")


def _unique(name: str, taken: Container[str]) -> str:
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}.{number}"
    return candidate


def load_into(programs: BpfPrograms, plan: LoadedObject) -> None:
    """Make the maps, verify the programs and take them in.

    Args:
        programs: the kernel's.
        plan: what ``plan_names`` chose.

    Raises:
        LoadError: a map or a program that the kernel refuses; `Rejected`, with the log, if it was the verifier.
        BadInput: a pinned map that is there in another shape.
    """
    found = plan.found
    btf_id = programs.ids.add_btf(found.name, found.btf, found.btf_size) if found.btf is not None else 0
    live = []
    for number, made in enumerate(found.maps):
        typed = object_map_meta(found, number).has_btf and made.spec.type not in _WITHOUT_TYPES
        live.append(_create(programs, plan.maps[made.name], made, btf_id if typed else 0))
    for program in found.programs:
        if program.name in plan.programs:
            _load(programs, plan, program, live, btf_id)
    for made, there in zip(found.maps, live, strict=True):
        for index, name in made.slots.items():
            _fill(programs, plan, there, index, name)


def _create(programs: BpfPrograms, name: str, made: ObjectMap, btf_id: int) -> BpfMap:
    there = programs.maps.get(name)
    if there is not None:
        if there.spec != fitted(made.spec, programs.cpu_count):
            raise BadInput(
                f"The pinned map {made.name} is there already, of another type or size.",
                hint="libbpf: couldn't reuse pinned map: parameter mismatch.",
            )
        return there
    live = programs.create_map(fitted(made.spec, programs.cpu_count), name)
    programs.ids.map_types[name] = MapTypes(btf_id, made.key_type, made.value_type, made.frozen)
    if made.initial:
        live.update_elem(bytes(made.spec.key_size), made.initial)
    if made.pinned:
        programs.user.bpffs.pin(sanitize_pin_path(made.name), live)
    return live


def fitted(spec: MapSpec, cpus: int) -> MapSpec:
    """Sizes that libbpf chooses: a perf event array without one, and a ring buffer's whole pages, a power of two."""
    if spec.type == "perf_event_array" and not spec.max_entries:
        return replace(spec, max_entries=cpus)
    if spec.type == "ringbuf" and spec.max_entries:
        pages = -(-spec.max_entries // PAGE_SIZE)
        return replace(spec, max_entries=PAGE_SIZE << (pages - 1).bit_length())
    return spec


def _load(programs: BpfPrograms, plan: LoadedObject, program: ObjectProgram, live: list[BpfMap], btf_id: int) -> None:
    found = plan.found
    metas = [object_map_meta(found, number, there.address) for number, there in enumerate(live)]
    facts = programs.function_facts
    verdict = verify_object_program(
        found, program, metas, kprobe_override=True, btf=programs.kernel_btf, function_facts=facts
    )
    if verdict.rejected is not None:
        raise verdict.rejected
    insns = replace_dead_code(program.insns, verdict.seen)
    loaded = Program(plan.programs[program.name], program.type, insns, live, found.license)
    loaded.max_ctx_offset = verdict.max_ctx_offset
    loaded.tag = prog_tag([_by_descriptor(insn) for insn in program.insns])
    loaded.array_lookups = array_lookups(loaded.insns, verdict.helper_maps)
    loaded.mark_probe_loads(verdict.probe_loads)
    loaded.attach_type, loaded.attach_func = program.target.attach_type, program.target.attach_func
    loaded.sleepable = program.target.sleepable
    types = ProgramTypes(btf_id, program.functions, program.lines) if btf_id else None
    programs.add_program(loaded, verdict.stats.insn_processed, types)


def _by_descriptor(insn: Insn) -> Insn:
    """The instruction as libbpf hands it to the kernel: maps by file descriptor and not by number."""
    kinds: dict[int, int] = {Pseudo.MAP_IDX: Pseudo.MAP_FD, Pseudo.MAP_IDX_VALUE: Pseudo.MAP_VALUE}
    return insn._replace(src=kinds.get(insn.src, insn.src)) if is_lddw(insn) else insn


def _fill(programs: BpfPrograms, plan: LoadedObject, there: BpfMap, index: int, name: str) -> None:
    """Put a map or a program into a map, as libbpf does before the first program is attached."""
    value = plan.maps.get(name) or plan.programs.get(name)
    if value is None:
        return
    target = programs.maps[value] if name in plan.maps else programs.programs[value]
    try:
        map_update_elem(there, index.to_bytes(4, "little"), target)
    except LinuxError as error:
        message = f"map '{there.name}': failed to initialize slot [{index}] to '{name}'."
        raise LinuxError(error.errno, message) from error
