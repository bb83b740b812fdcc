"""What one run of the verifier works with: the program, the current state, the paths still to go, the counters.

Follows ``struct bpf_verifier_env`` and, of Linux kernel/bpf/verifier.c, check_reg_arg, push_stack and pop_stack.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from kprobesim.bpf.disasm import insn_text
from kprobesim.bpf.isa import Insn, Level, Pseudo
from kprobesim.bpf.verifier.bounds import coerce_reg_to_size
from kprobesim.bpf.verifier.ctx_field import CtxUser
from kprobesim.bpf.verifier.errors import Rejected
from kprobesim.bpf.verifier.func_info import ProgramBtf
from kprobesim.bpf.verifier.functions import FunctionType
from kprobesim.bpf.verifier.kernel_btf import FunctionFacts, TracedFunction
from kprobesim.bpf.verifier.liveness import is_reg64, mark_reg_read
from kprobesim.bpf.verifier.log import Log
from kprobesim.bpf.verifier.map_meta import MapMeta
from kprobesim.bpf.verifier.reg import Reg, not_init_reg, unknown_reg
from kprobesim.bpf.verifier.reg_type import NOT_INIT, SCALAR_VALUE, reg_type_str
from kprobesim.bpf.verifier.state import BPF_REG_FP, READ32, READ64, WRITTEN, Frame, State
from kprobesim.image.btf import Btf
from kprobesim.linux_errno import Errno

__all__ = [
    "BPF_MAX_VAR_OFF",
    "BPF_MAX_VAR_SIZ",
    "JMP_SEQ_LIMIT",
    "MAX_BPF_STACK",
    "Env",
    "InsnAux",
    "Pending",
    "Setup",
    "Subprog",
]

MAX_BPF_STACK = 512
BPF_MAX_VAR_OFF = 1 << 29
BPF_MAX_VAR_SIZ = 1 << 29
JMP_SEQ_LIMIT = 8192
_CALL = 0x85


@dataclass(frozen=True, slots=True)
class Setup:
    """What is to be verified, and for whom.

    Args:
        insns: one entry per 8-byte slot.
        prog_type: a name out of PROG_TYPES.
        map_at: the map that the LDDW in a slot means; None if the number it has is no map's.
        unpriv: whether the user lacks all capabilities.
        strict_alignment: BPF_F_STRICT_ALIGNMENT.
        test_state_freq: BPF_F_TEST_STATE_FREQ, remember a state at every chance.
        gpl_compatible: whether GPL-only helpers may be called.
        jit: whether programs will be compiled, without which some calls are refused.
        static_functions: whether the program came with types that say its functions are static; without them,
            callbacks are refused.
        stop_after: how many instructions may be processed.
        sleepable: BPF_F_SLEEPABLE.
        attach_type: where the program will be attached, as bpftool names it; empty for nothing special.
        attach_func: the kernel function or tracepoint that a tracing program is for.
        btf: the kernel's types.
        functions: the program's functions as its own types describe them, in order; None without types.
        kprobe_override: whether the kernel has CONFIG_BPF_KPROBE_OVERRIDE.
        function_facts: what there is to know of a function of the kernel, None for one that is in its types only;
            without it nothing is asked.
        types: what the program was loaded with of types of its own; ``functions`` come out of it if it has any.
    """

    insns: Sequence[Insn]
    prog_type: str
    map_at: Callable[[int, Insn], MapMeta | None]
    unpriv: bool = False
    strict_alignment: bool = False
    test_state_freq: bool = False
    gpl_compatible: bool = True
    jit: bool = True
    static_functions: bool = False
    stop_after: int = 1_000_000
    sleepable: bool = False
    attach_type: str = ""
    attach_func: str = ""
    btf: Btf | None = None
    functions: Sequence[FunctionType] | None = None
    kprobe_override: bool = False
    function_facts: Callable[[str], FunctionFacts | None] | None = None
    types: ProgramBtf | None = None


@dataclass(slots=True)
class Subprog:
    """One function: where it starts and what was found out about it."""

    start: int
    stack_depth: int = 0
    has_tail_call: bool = False
    has_ld_abs: bool = False
    is_async_cb: bool = False


@dataclass(slots=True)
class InsnAux:
    """What is remembered of one instruction over all paths (``struct bpf_insn_aux_data``)."""

    ptr_type: int = NOT_INIT
    map: MapMeta | None = None
    map_off: int = 0
    helper_map: MapMeta | None = None
    map_poisoned: bool = False
    map_unpriv: bool = False
    map_key: int | None = None
    key_poisoned: bool = False
    alu_state: int = 0
    alu_limit: int = 0
    loop_fits_inline: bool | None = None


class Pending(NamedTuple):
    """A path that waits for its turn."""

    state: State
    insn_idx: int
    prev_insn_idx: int
    log_length: int


@dataclass(slots=True)
class Counters:
    """The figures of the log's last line."""

    insn_processed: int = 0
    max_states_per_insn: int = 0
    total_states: int = 0
    peak_states: int = 0


@dataclass(slots=True)
class Explored:
    """A remembered state, with how often it helped and how often it did not."""

    state: State
    hits: int = 0
    misses: int = 0


class Env:
    """One run of the verifier.

    Attributes:
        setup: what is verified.
        log: where it is told.
        state: the current state.
        insn_idx, prev_insn_idx: instruction being checked, and the one before it on this path.
    """

    def __init__(self, setup: Setup, log: Log) -> None:
        privileged = not setup.unpriv
        self.setup = setup
        self.log = log
        self.insns: Sequence[Insn] = tuple(setup.insns)
        self.count = len(self.insns)
        self.prog_type = setup.prog_type
        self.ctx_user = CtxUser(setup.attach_type, privileged)
        self.bpf_capable = self.allow_ptr_leaks = self.allow_uninit_stack = privileged
        self.bypass_spec_v1 = self.bypass_spec_v4 = privileged
        self.strict_alignment = setup.strict_alignment
        self.max_ctx_offset = 0
        self.ctx_accesses: set[int] = set()
        self.traced: TracedFunction | None = None
        self.functions = setup.functions
        self.kernel_functions: dict[int, str] = {}
        self.unreliable: set[int] = set()
        self.aux: dict[int, InsnAux] = {}
        self.prune_points = bytearray(self.count + 1)
        self.jmp_points = bytearray(self.count + 1)
        self.subprogs: list[Subprog] = []
        self.used_maps: list[MapMeta] = []
        self.explored: dict[int, list[Explored]] = {}
        self.stack: list[Pending] = []
        self.counters = Counters()
        self.jmps_processed = self.prev_jmps_processed = self.prev_insn_processed = 0
        self.longest_mark_read = 0
        self.id_gen = 0
        self.explore_alu_limits = False
        self.insn_idx = 0
        self.prev_insn_idx = -1
        self.seen_direct_write = False
        self.unknown = unknown_reg(precise=not privileged)
        self.not_init = not_init_reg(precise=not privileged)
        self.narrow = {size: self._narrow(size) for size in (1, 2, 4)}
        self.seen = bytearray(self.count)
        self.paths = 0
        self.pruned_by: State | None = None
        self._texts: dict[int, str] = {}
        self.backtrack_concerns: dict[int, tuple[int, int, str]] = {}
        self.state = State(Frame(self.not_init, -1, 0, 0))

    @property
    def has_func_info(self) -> bool:
        """Whether types say what the program's functions are."""
        return self.setup.static_functions or self.functions is not None

    @property
    def frame(self) -> Frame:
        """The current function's frame."""
        return self.state.frames[-1]

    @property
    def insn(self) -> Insn:
        """The instruction being checked."""
        return self.insns[self.insn_idx]

    def _narrow(self, size: int) -> Reg:
        """An unknown number of ``size`` bytes."""
        reg = self.unknown.copy()
        coerce_reg_to_size(reg, size)
        return reg

    def aux_of(self, index: int) -> InsnAux:
        """What is remembered of an instruction."""
        aux = self.aux.get(index)
        if aux is None:
            aux = self.aux[index] = InsnAux()
        return aux

    def new_id(self) -> int:
        """A fresh id for a value or a reference."""
        self.id_gen += 1
        return self.id_gen

    def text_of(self, index: int) -> str:
        """An instruction as the log prints it, with map addresses filled in."""
        text = self._texts.get(index)
        if text is None:
            text = insn_text(self.insns, index, Level.V3, self._imm64(index))
            if self.insns[index].code == _CALL and self.insns[index].src == 2:
                # The kernel looks the name up by type id; 0 has none.
                name = self.kernel_functions.get(self.insns[index].imm, "")
                text = text.replace("kernel-function#", f"{name}#")
            self._texts[index] = text
        return text

    def _imm64(self, index: int) -> Callable[[Insn, int], str]:
        aux = self.aux.get(index)

        def text(insn: Insn, value: int) -> str:
            if insn.src not in (Pseudo.VALUE, Pseudo.FUNC) and not self.allow_ptr_leaks:
                return "0x0"
            if aux is not None and aux.map is not None:
                direct = insn.src in (Pseudo.MAP_VALUE, Pseudo.MAP_IDX_VALUE)
                return f"{aux.map.address + (aux.map_off + 272 if direct else 0):#x}"
            return f"{value:#x}"

        return text

    def reject(self, errno: Errno, message: str, end: str = "\n") -> NoReturn:
        """Log the last sentence and give up."""
        raise self.refusal(errno, message, end)

    def refusal(self, errno: Errno, message: str, end: str = "\n") -> Rejected:
        """Log the last sentence; the exception with which to give up."""
        if message:
            self.log.write(message + end)
        return Rejected(errno, message, insn=self.insn_idx)

    def reject_logged(self, errno: Errno, message: str) -> NoReturn:
        """Give up with a sentence that is in the log already."""
        raise Rejected(errno, message, insn=self.insn_idx)

    def type_at(self, regno: int) -> str:
        """Name of the type of a register of the current frame."""
        return reg_type_str(self.frame.values[regno].type)

    def check_src(self, regno: int) -> Reg:
        """The instruction reads a register (check_reg_arg with SRC_OP)."""
        if regno > BPF_REG_FP:
            self.reject(Errno.EINVAL, f"R{regno} is invalid")
        self.log.scratched_regs |= 1 << regno
        frame = self.state.frames[-1]
        reg = frame.values[regno]
        if reg.type == NOT_INIT:
            self.reject(Errno.EACCES, f"R{regno} !read_ok")
        if regno != BPF_REG_FP and frame.parent[regno] is not None and not frame.live[regno] & WRITTEN:
            wide = is_reg64(self.insns[self.insn_idx], reg, True)
            mark_reg_read(self, frame, regno, READ64 if wide else READ32)
        return reg

    def check_dst(self, regno: int, mark: bool = True) -> None:
        """The instruction writes a register (DST_OP); it becomes an unknown scalar unless ``mark`` is false."""
        if regno > BPF_REG_FP:
            self.reject(Errno.EINVAL, f"R{regno} is invalid")
        self.log.scratched_regs |= 1 << regno
        if regno == BPF_REG_FP:
            self.reject(Errno.EACCES, "frame pointer is read only")
        frame = self.state.frames[-1]
        frame.live[regno] |= WRITTEN
        if mark:
            frame.values[regno] = self.unknown

    def set_reg(self, regno: int, reg: Reg) -> None:
        """Give a register of the current frame a value."""
        self.state.frames[-1].values[regno] = reg

    def clear_caller_saved(self, frame: Frame) -> None:
        """R0 to R5 are lost over a call."""
        current = self.state.frames[-1]
        for regno in range(6):
            frame.values[regno] = self.not_init
            current.live[regno] |= WRITTEN
        self.log.scratched_regs |= 0x3F

    def pointer(self, reg_type: int, **fields: Any) -> Reg:
        """A pointer of this type with offset 0 (Linux's mark_reg_known_zero).

        Should it turn out to be NULL, the number that it becomes matters as all numbers do for this user.
        """
        return Reg(reg_type).with_(precise=not self.bpf_capable, **fields)

    def is_pointer_value(self, regno: int) -> bool:
        """Whether a register holds an address that this user must not see."""
        return not self.allow_ptr_leaks and self.frame.values[regno].type != SCALAR_VALUE

    def push_stack(self, insn_idx: int, prev_insn_idx: int, speculative: bool = False) -> State | None:
        """Let a copy of the current state wait; None if too many do, after which the program is refused."""
        state = self.state.copy()
        state.speculative |= speculative
        self.stack.append(Pending(state, insn_idx, prev_insn_idx, self.log.length))
        if len(self.stack) > JMP_SEQ_LIMIT:
            self.log.write(f"The sequence of {len(self.stack)} jumps is too complex.\n")
            return None
        if state.parent is not None:
            state.parent.branches += 1
        return state

    def pop_stack(self, cut_log: bool) -> bool:
        """Take up the path that waits last; False if none does."""
        if not self.stack:
            return False
        pending = self.stack.pop()
        self.state = pending.state
        self.state.path = self.paths
        self.paths += 1
        self.insn_idx = pending.insn_idx
        self.prev_insn_idx = pending.prev_insn_idx
        if cut_log:
            self.log.cut(pending.log_length)
        return True

    def branch_done(self) -> None:
        """The current path ended: its ancestors wait for one path less (Linux's update_branch_counts)."""
        state: State | None = self.state
        while state is not None:
            state.branches -= 1
            if state.branches:
                break
            state = state.parent
