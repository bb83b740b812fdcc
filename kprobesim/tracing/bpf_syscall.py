"""The host's half of the guest's bpf(2): ``bpf_map.c``, ``bpf_prog.c``, ``bpf_syscall.c``.

The guest copies what user space passes, knows descriptors, and counts who uses an object; the host has the maps, the
verifier and the names under ``/sys/fs/bpf``. Follows Linux kernel/bpf/syscall.c.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from kprobesim.bpf import MAP_TYPES, BpfMap, MapSpec, Program, encode
from kprobesim.bpf.bpffs import BPFFS_ROOT
from kprobesim.bpf.helpers.tail_call import TAIL_CALL
from kprobesim.bpf.maps import ArrayOfMaps, BloomFilter, HashOfMaps, ProgArray
from kprobesim.bpf.maps.syscall import (
    map_delete_elem,
    map_freeze,
    map_get_next_key,
    map_lookup_and_delete_elem,
    map_lookup_elem,
    map_update_elem,
)
from kprobesim.bpf.packet_program import PacketProgram
from kprobesim.bpf.program import PROG_TYPES
from kprobesim.errors import GuestError, LinuxError
from kprobesim.kprobes import RunningKernel
from kprobesim.linux_errno import Errno
from kprobesim.machine import VCpu
from kprobesim.tracing.bpf import BpfPrograms
from kprobesim.tracing.bpf_load import ATTR_SIZE, LoadRequest, MapRef, load_program, obj_name
from kprobesim.tracing.bpf_references import MOST_LOADING, REFCNT_AT, BpfReferences
from kprobesim.tracing.hostfs import HostFs, Operation, errno_of

__all__ = ["BpfSyscall"]

_CREATE: Final = struct.Struct("<7I16sIIIIIQ")
_ARGS: Final = struct.Struct("<5Q")
_REF: Final = struct.Struct("<IiQ")
_INSNS_AT: Final = 104
_HEAD: Final = struct.Struct("<HHIIIiIQQIIQ8s16sHHI")
"""struct bpf_prog of filter.h up to its list."""
_PROG, _MAP = 1, 2
_TYPE_NAMES: Final = {_PROG: "prog", _MAP: "map"}
_LOG_SHOWN: Final = 400
_MOST_REFS: Final = 1_000_000
_F_NUMA_NODE: Final = 1 << 2


class BpfSyscall:
    """Serves bpf(2).

    Args:
        kernel: whose stubs are bound; one that has none simply has no bpf(2).
        programs: the programs and maps that there are.
        hostfs: the files, by whose nodes the kernel names places under ``/sys/fs/bpf``.
    """

    def __init__(self, kernel: RunningKernel, programs: BpfPrograms, hostfs: HostFs) -> None:
        self._kernel = kernel
        self._machine = kernel.machine
        self._programs = programs
        self._hostfs = hostfs
        self.references: Final = BpfReferences(kernel, programs)
        self._logs: dict[int, bytes] = {}
        self._bind()

    def _bind(self) -> None:
        """Connect the stubs. All are deferred: to load or free a program may change the kernel's code."""
        functions: dict[str, Operation] = {
            "find_and_alloc_map": self._create_map,
            "bpf_map_by_id": self._map_by_id,
            "bpf_map_free": self._free_map,
            "bpf_map_value_size": lambda cpu, where, _, __: self._map(cpu, where).sys_value_size,
            "bpf_map_copy_value": self._lookup,
            "bpf_map_update_value": self._update,
            "bpf_map_delete_value": self._delete,
            "bpf_map_next_key": self._next_key,
            "bpf_map_take_value": self._take,
            "bpf_map_freeze": self._freeze,
            "bpf_check": self._load,
            "bpf_vlog_copy": self._copy_log,
            "bpf_prog_fill": self._fill,
            "bpf_prog_free_id": self._free_program,
            "bpf_obj_next_id": self._next_id,
            "bpf_obj_do_pin": self._pin,
            "bpf_obj_at": self._object_at,
        }
        self._kernel.bind({}, {name: errno_of(function) for name, function in functions.items()})

    def _read(self, address: int, size: int) -> bytes:
        return self._kernel.read(address, size)

    # Maps

    def _map(self, cpu: VCpu, address: int) -> BpfMap:
        found = next((one for one in self._programs.maps.values() if one.address == address), None)
        if found is None:
            raise GuestError(f"No map is at {address:#x}.", report=self._machine.report(cpu))
        return found

    def _create_map(self, cpu: VCpu, attr: int, inner_at: int, _: int) -> int:
        fields = _CREATE.unpack(self._read(attr, _CREATE.size))
        number, key, value, entries, flags, _fd, numa, name, ifindex, *_btf, extra = fields
        if not 0 < number < len(MAP_TYPES) or ifindex or (flags & _F_NUMA_NODE and numa):
            raise LinuxError(Errno.EINVAL, f"There is no map type {number}, or no such place for it.")
        wanted = obj_name(name)
        inner = self._map(cpu, inner_at) if inner_at else None
        spec = MapSpec(MAP_TYPES[number], key, value, entries, flags, wanted, extra)
        chosen = _unique(wanted or MAP_TYPES[number], self._programs.maps)
        made = self._programs.create_map(spec, chosen, inner)
        self.references.own_map(made)
        self._kernel.write(made.address + REFCNT_AT, (1).to_bytes(4, "little"))
        return made.address

    def _map_by_id(self, cpu: VCpu, number: int, _: int, __: int) -> int:
        found = self._map_of_id(number & 0xFFFF_FFFF)
        self.references.hold(found)
        return found.address

    def _free_map(self, cpu: VCpu, address: int, _: int, __: int) -> int:
        self.references.map_released(self._map(cpu, address))
        return 0

    def _key(self, found: BpfMap, key: int) -> bytes:
        return self._read(key, found.key_size) if key else b""

    def _lookup(self, cpu: VCpu, address: int, key_at: int, value_at: int) -> int:
        found = self._map(cpu, address)
        asked = self._read(value_at, found.sys_value_size) if isinstance(found, BloomFilter) else b""
        value = map_lookup_elem(found, self._key(found, key_at), cpu.more_arguments()[0], asked)
        if not isinstance(found, BloomFilter):
            self._kernel.write(value_at, value)
        return 0

    def _update(self, cpu: VCpu, address: int, key_at: int, value_at: int) -> int:
        found, flags = self._map(cpu, address), cpu.more_arguments()[0]
        key = self._key(found, key_at)
        if isinstance(found, (ProgArray, ArrayOfMaps, HashOfMaps)):
            number = int.from_bytes(self._read(value_at, 8), "little")
            target = self._program(number) if isinstance(found, ProgArray) else self._map(cpu, number)
            map_update_elem(found, key, target, flags)
            self.references.collect()
            return 0
        value, old = self._read(value_at, found.sys_value_size), found.value_or_nothing(key)
        map_update_elem(found, key, value, flags)
        self._machine.emit("map.update", map=found.name, key=key, old=old, new=value)
        return 0

    def _delete(self, cpu: VCpu, address: int, key_at: int, _: int) -> int:
        found = self._map(cpu, address)
        key = self._key(found, key_at)
        map_delete_elem(found, key)
        self._machine.emit("map.delete", map=found.name, key=key)
        self.references.collect()
        return 0

    def _next_key(self, cpu: VCpu, address: int, key_at: int, next_at: int) -> int:
        found = self._map(cpu, address)
        self._kernel.write(next_at, map_get_next_key(found, self._read(key_at, found.key_size) if key_at else None))
        return 0

    def _take(self, cpu: VCpu, address: int, key_at: int, value_at: int) -> int:
        found = self._map(cpu, address)
        value = map_lookup_and_delete_elem(found, self._key(found, key_at), cpu.more_arguments()[0])
        self._kernel.write(value_at, value)
        return 0

    def _freeze(self, cpu: VCpu, address: int, _: int, __: int) -> int:
        map_freeze(self._map(cpu, address))
        return 0

    # Programs

    def _program(self, number: int) -> Program:
        found = self._programs.by_id(number & 0xFFFF_FFFF)
        if found is None:
            raise LinuxError(Errno.ENOENT, f"There is no program {number}.")
        return found

    def _load(self, cpu: VCpu, args_at: int, _: int, __: int) -> int:
        attr_at, insns_at, license_at, refs_at, count = _ARGS.unpack(self._read(args_at, _ARGS.size))
        attr = self._read(attr_at, ATTR_SIZE)
        refs: dict[int, MapRef] = {}
        for slot, error, where in _REF.iter_unpack(self._read(refs_at, _REF.size * min(count, _MOST_REFS))):
            refs[slot] = MapRef(None if error else self._map(cpu, where), error)
        self._keep_log(cpu, b"")
        name = obj_name(attr[48:64])
        size = 8 * int.from_bytes(attr[4:8], "little")
        license_text = self._read(license_at, 128).split(b"\0")[0].decode("latin-1")
        request = LoadRequest(attr, self._read(insns_at, size), license_text, refs)
        kind = int.from_bytes(attr[:4], "little")
        stem = name or (PROG_TYPES[kind] if kind < len(PROG_TYPES) else "prog")
        loaded = load_program(request, _unique(stem, self._programs.programs), self._programs.kernel_btf)
        if int.from_bytes(attr[24:28], "little"):
            self._keep_log(cpu, loaded.log + b"\0")
        error = loaded.error
        if loaded.program is not None:
            try:
                self._programs.add_program(loaded.program, loaded.processed)
            except LinuxError as refused:
                self._programs.remove_program(loaded.program.name)
                error = refused
        if error is not None:
            last = loaded.log.decode("latin-1").rstrip().rpartition("\n")[0][-_LOG_SHOWN:]
            reason = error.message or error.hint or last
            self._machine.emit("bpf.refuse", prog=stem, errno=int(error.errno), reason=reason)
            return -int(error.errno)
        assert loaded.program is not None
        self.references.own_program(loaded.program, self._kernel.current(cpu.number).address)
        return loaded.program.id

    def _keep_log(self, cpu: VCpu, log: bytes) -> None:
        """What the task will ask for."""
        task = self._kernel.current(cpu.number).address
        self._logs.pop(task, None)
        if log:
            self._logs[task] = log
        while len(self._logs) > MOST_LOADING:
            del self._logs[next(iter(self._logs))]

    def _copy_log(self, cpu: VCpu, to: int, start: int, count: int) -> int:
        piece = self._logs.get(self._kernel.current(cpu.number).address, b"")[start : start + count]
        if piece:
            self._kernel.write(to, piece)
        else:
            self._keep_log(cpu, b"")
        return len(piece)

    def _fill(self, cpu: VCpu, number: int, prog: int, _: int) -> int:
        """A struct bpf_prog of a program; without a place for it, how many instructions it has."""
        program = self._program(number)
        count = len(program.resolved)
        if not prog:
            return count
        info = self._programs.ids.programs[program.name]
        refcnt = int.from_bytes(self._read(prog + 16, 4), "little")
        jited = self._programs.jited(program.name)
        tail_calls = any(insn.code == 0x85 and insn.src == 0 and insn.imm == TAIL_CALL for insn in program.insns)
        head = _HEAD.pack(
            int(jited is not None),
            0,
            count,
            jited.code.jited_len if jited else 0,
            # The target of a tail call goes on on the same stack, so the largest it shall be.
            512 if tail_calls else program.stack_depth,
            refcnt,
            0,
            0,
            0,
            program.id,
            PROG_TYPES.index(program.type),
            info.loaded_ns,
            bytes.fromhex(program.tag),
            program.name.encode("ascii", "replace")[:15].ljust(16, b"\0"),
            int(program.gpl_compatible),
            int(isinstance(program, PacketProgram) and program.cb_access),
            len(program.used_maps),
        )
        self._kernel.write(prog, head)
        self._kernel.write(prog + _INSNS_AT, encode(program.resolved))
        self.references.program_held(program)
        return count

    def _free_program(self, cpu: VCpu, number: int, _: int, __: int) -> int:
        self.references.program_released(number)
        return 0

    # Names and numbers

    def _next_id(self, cpu: VCpu, kind: int, start: int, _: int) -> int:
        programs, maps = self._programs.programs.values(), self._programs.maps.values()
        numbers = [program.id for program in programs] if kind == _PROG else [one.id for one in maps]
        later = [number for number in numbers if number > start & 0xFFFF_FFFF]
        if not later:
            raise LinuxError(Errno.ENOENT, "There is no more.")
        return min(later)

    def _pin(self, cpu: VCpu, folder: int, name_at: int, obj: int) -> int:
        path = f"{self._bpffs_path(folder)}/{self._hostfs.read_name(cpu, name_at)}"
        kind, number = obj >> 32, obj & 0xFFFF_FFFF
        target = self._program(number) if kind == _PROG else self._map_of_id(number)
        self._programs.user.bpffs.pin(path, target)
        self._machine.emit("bpf.pin", path=path, type=_TYPE_NAMES[kind], id=number)
        return 0

    def _map_of_id(self, number: int) -> BpfMap:
        found = next((one for one in self._programs.maps.values() if one.id == number), None)
        if found is None:
            raise LinuxError(Errno.ENOENT, f"There is no map {number}.")
        return found

    def _object_at(self, cpu: VCpu, node: int, _: int, __: int) -> int:
        target = self._programs.user.bpffs.get(self._bpffs_path(node))
        return (_PROG if isinstance(target, Program) else _MAP) << 32 | int(target.id)

    def _bpffs_path(self, node: int) -> str:
        """A node of the tree under its root."""
        _, _root, *names = self._hostfs.path_of(node).split("/")
        return "/".join([BPFFS_ROOT, *names])

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        return self.references.save(), dict(self._logs)

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        references, logs = state
        self.references.restore(references)
        self._logs = dict(logs)


def _unique(name: str, taken: Any) -> str:
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}.{number}"
    return candidate
