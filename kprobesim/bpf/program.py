"""A program as bpf(BPF_PROG_LOAD) makes it: checked, its maps looked up, its tag known."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kprobesim.bpf.check import check_program
from kprobesim.bpf.disasm import Imm64Text, listing, plain_imm64
from kprobesim.bpf.environment import Environment
from kprobesim.bpf.errors import LoadError
from kprobesim.bpf.helper_names import HELPER_IDS
from kprobesim.bpf.helpers import HELPERS, Around, helpers_for
from kprobesim.bpf.helpers.tail_call import TAIL_CALL
from kprobesim.bpf.interpreter import DEFAULT_BUDGET, BoundProgram
from kprobesim.bpf.isa import MASK32, Insn, Level, Mode, Pseudo, encode, is_lddw, lddw
from kprobesim.bpf.maps import BpfMap, ProgArray
from kprobesim.bpf.memory import GuestMemory
from kprobesim.bpf.variants import Form, Variant
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.jit.lookups import ArrayLookup

__all__ = ["GPL_COMPATIBLE", "PROG_TYPES", "MapUse", "Program", "prog_tag"]

_NAMES = """
    unspec socket_filter kprobe sched_cls sched_act tracepoint xdp perf_event cgroup_skb cgroup_sock lwt_in lwt_out
    lwt_xmit sock_ops sk_skb cgroup_device sk_msg raw_tracepoint cgroup_sock_addr lwt_seg6local lirc_mode2
    sk_reuseport flow_dissector cgroup_sysctl raw_tracepoint_writable cgroup_sockopt tracing struct_ops ext lsm
    sk_lookup syscall
"""
PROG_TYPES: tuple[str, ...] = tuple(_NAMES.split())
"""Names of the program types of Linux 6.1, as bpftool prints them; the index is ``BPF_PROG_TYPE_*``."""

GPL_COMPATIBLE = frozenset(
    {"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"}
)
"""Licences with which GPL-only helpers may be called (Linux include/linux/license.h)."""

_BY_VALUE = (Pseudo.MAP_VALUE, Pseudo.MAP_IDX_VALUE)
_BY_MAP = (Pseudo.MAP_FD, Pseudo.MAP_IDX)


class MapUse(NamedTuple):
    """Where a program names a map: the map, and an offset into its value or None for the map itself."""

    map: BpfMap
    offset: int | None


def prog_tag(insns: Sequence[Insn]) -> str:
    """The tag by which bpftool knows a program: 16 hex digits of the SHA-1 over its instructions.

    Map references are zeroed first, so the tag does not depend on file descriptors. Follows Linux
    kernel/bpf/core.c:bpf_prog_calc_tag.
    """
    plain = list(insns)
    for index, insn in enumerate(insns):
        if is_lddw(insn) and insn.src in (Pseudo.MAP_FD, Pseudo.MAP_VALUE) and index + 1 < len(insns):
            plain[index] = insn._replace(imm=0)
            plain[index + 1] = insns[index + 1]._replace(imm=0)
    return hashlib.sha1(encode(plain), usedforsecurity=False).hexdigest()[:16]


class Program:
    """A loaded program. It does not change; ``bind`` gives it a machine to run in.

    Args:
        name: at most 15 characters in Linux; not checked here.
        type: one of PROG_TYPES.
        insns: one entry per 8-byte slot.
        maps: which map an LDDW means by its number, be it a file descriptor or an index.
        license: decides whether GPL-only helpers may be called.
        level: which instructions exist; V3 is Linux 6.1.

    Attributes:
        resolved: the instructions with map references replaced by guest addresses; this is what runs.
        used_maps: the maps it names, in order of first use.
        map_uses: slot of each LDDW that names a map -> what it means.
        tag: see prog_tag.
        kprobe_override: whether it calls bpf_override_return, and so fits only some places.
        max_ctx_offset: how many bytes of its context it reads, as the verifier found; 0 if it was not asked.
        stack_depth: how many bytes of stack it uses, likewise; 0 also for a program of several functions.
        array_lookups: look-ups that machine code does without a call; set by whoever has had the program verified.
        attach_type, attach_func: what it was loaded for, as bpftool names it, and the function or tracepoint; set by
            whoever has had the program verified.
        sleepable: whether it may sleep, likewise.
        id: by which number bpftool knows it; 0 until somebody gives it one.
        address: of what stands for its ``struct bpf_prog``, likewise.

    Raises:
        LoadError: what bpf(BPF_PROG_LOAD) says before it asks the verifier; see kprobesim.bpf.check.
    """

    def __init__(
        self,
        name: str,
        type: str,  # noqa: A002 - the kernel's word for it
        insns: Sequence[Insn],
        maps: Mapping[int, BpfMap] | Sequence[BpfMap] = (),
        license: str = "GPL",  # noqa: A002
        level: Level = Level.V3,
    ) -> None:
        if type not in PROG_TYPES or type == "unspec":
            raise LoadError(Errno.EINVAL, "", hint=f"There is no program type {type!r}.")
        self.name = name
        self.type = type
        self.insns = tuple(insns)
        self.license = license
        self.level = level
        self._maps = maps if isinstance(maps, Mapping) else dict(enumerate(maps))
        self.map_uses: dict[int, MapUse] = {}
        self._check()
        calls = {insn.imm for insn in self.insns if insn.code == 0x85 and insn.src == 0}
        self.kprobe_override = HELPER_IDS["override_return"] in calls
        self.array_lookups: Mapping[int, ArrayLookup] = {}
        self.id = self.address = self.max_ctx_offset = self.stack_depth = 0
        self.attach_type = self.attach_func = ""
        self.sleepable = False
        used = dict.fromkeys(use.map for use in self.map_uses.values())
        self.used_maps: tuple[BpfMap, ...] = tuple(used)
        self._tail_calls = TAIL_CALL in calls
        self.resolved = self._resolve()
        self.tag = prog_tag(self.insns)

    def mark_probe_loads(self, slots: Iterable[int]) -> None:
        """Make loads ones that give 0 for a bad address (kernel/bpf/verifier.c:convert_ctx_accesses); before `bind`.

        Args:
            slots: of loads through pointers that the verifier trusts without knowing them to be good.
        """
        resolved = list(self.resolved)
        for slot in slots:
            insn = resolved[slot]
            resolved[slot] = insn._replace(code=insn.cls | Mode.PROBE_MEM | insn.size)
        self.resolved = tuple(resolved)

    @property
    def gpl_compatible(self) -> bool:
        """Whether GPL-only helpers may be called."""
        return self.license in GPL_COMPATIBLE

    def bind(
        self, memory: GuestMemory, env: Environment, budget: int = DEFAULT_BUDGET, around: Around | None = None
    ) -> BoundProgram:
        """The program with the memory and the machine it runs in; keep the result, it holds the compiled code."""
        return BoundProgram(self, memory, env, budget, around)

    def text(self, imm64: Imm64Text | None = None) -> str:
        """The program as text, one line per instruction, maps by name (``map[counts]``) or else by id.

        Args:
            imm64: how to print the operand of a 64-bit load, for example ``source_imm64``.
        """
        by_slot = {(self.insns[slot], self.insns[slot + 1].imm): use for slot, use in self.map_uses.items()}

        def named(insn: Insn, value: int) -> str:
            high = value >> 32
            use = by_slot.get((insn, high - (high >> 31 << 32)))
            if use is None:
                return plain_imm64(insn, value)
            label = f"map[{use.map.name or f'id:{use.map.id}'}]"
            return label if use.offset is None else f"{label}[0]{use.offset:+d}"

        return listing(self.insns, self.level, imm64 or named)

    def check_tail_call(self) -> None:
        """bpf_check_tail_call: a program that tail-calls must be one that its own arrays would take.

        Raises:
            LoadError: EINVAL, it is not.
        """
        for used in self.used_maps if self._tail_calls else ():
            if isinstance(used, ProgArray) and not used.compatible(self):
                raise LoadError(
                    Errno.EINVAL,
                    "",
                    hint=f"Those in {used.name} are of another type, or not compiled alike, or this overrides returns.",
                )

    def _check(self) -> None:
        """Refuse what is no program, and note the maps it names."""
        check_program(self.insns, self.level, helpers=helpers_for(self.type), visit=self._visit)

    def _visit(self, index: int, insn: Insn, variant: Variant) -> None:
        form = variant.form
        if form is Form.LDDW:
            self._lddw(index, insn)
        elif form is Form.CALL and HELPERS[insn.imm].gpl_only and not self.gpl_compatible:
            raise LoadError(
                Errno.EINVAL, "cannot call GPL-restricted function from non-GPL compatible program", insn=index
            )
        elif form is Form.CALL_KFUNC:
            raise LoadError(Errno.ENOTSUPP, "JIT is required for calling kernel function", insn=index)
        elif form in (Form.LD_ABS, Form.LD_IND):
            raise LoadError(
                Errno.EINVAL,
                "BPF_LD_[ABS|IND] instructions not allowed for this program type",
                insn=index,
                hint="No program here has a network packet to read.",
            )

    def _lddw(self, index: int, insn: Insn) -> None:
        if insn.src in (Pseudo.VALUE, Pseudo.FUNC):
            return
        if insn.src not in (*_BY_MAP, *_BY_VALUE):
            raise LoadError(
                Errno.EINVAL,
                "unrecognized bpf_ld_imm64 insn",
                insn=index,
                hint="Addresses of kernel variables are not simulated yet.",
            )
        found = self._maps.get(insn.imm)
        if found is None:
            raise LoadError(
                Errno.EBADF,
                f"fd {insn.imm} is not pointing to valid bpf_map",
                insn=index,
                hint=f"The program was given these maps: {sorted(self._maps) or 'none'}.",
            )
        if insn.src in _BY_MAP:
            self.map_uses[index] = MapUse(found, None)
            return
        offset = self.insns[index + 1].imm & MASK32
        if found.spec.type != "array":
            raise LoadError(Errno.EINVAL, "no direct value access support for this map type", insn=index)
        if found.spec.max_entries != 1 or offset >= found.value_size:
            raise LoadError(
                Errno.ENOTSUPP if found.spec.max_entries != 1 else Errno.EINVAL,
                f"invalid access to map value pointer, value_size={found.value_size} off={offset}",
                insn=index,
                hint="Only an array of one element has a value that a program may point into.",
            )
        self.map_uses[index] = MapUse(found, offset)

    def _resolve(self) -> tuple[Insn, ...]:
        resolved = list(self.insns)
        for index, (found, offset) in self.map_uses.items():
            address = found.address
            if offset is not None:
                address = found.lookup_elem(bytes(found.key_size)) + offset
            insn = self.insns[index]
            resolved[index : index + 2] = lddw(insn.dst, address, insn.src)
        return tuple(resolved)
