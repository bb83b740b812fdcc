"""The verifier as bpf(BPF_PROG_LOAD) calls it.

Follows Linux kernel/bpf/verifier.c: bpf_check, do_check_common, print_verification_stats.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kprobesim.bpf.check import BPF_COMPLEXITY_LIMIT_INSNS, BPF_MAXINSNS
from kprobesim.bpf.isa import Class, Insn
from kprobesim.bpf.verifier.attach import attach_type_fits, check_attach, usual_attach_type
from kprobesim.bpf.verifier.cfg import check_cfg
from kprobesim.bpf.verifier.do_check import do_check
from kprobesim.bpf.verifier.env import Env, Setup
from kprobesim.bpf.verifier.errors import Rejected
from kprobesim.bpf.verifier.func_info import ProgramBtf, check_btf_info
from kprobesim.bpf.verifier.functions import FunctionType, check_main_arguments, prepare_arguments
from kprobesim.bpf.verifier.kernel_btf import FunctionFacts
from kprobesim.bpf.verifier.ldimm64 import resolve_pseudo_ldimm64
from kprobesim.bpf.verifier.log import LEVEL1, LEVEL2, STATS, Log
from kprobesim.bpf.verifier.map_meta import MapMeta
from kprobesim.bpf.verifier.reg import Reg
from kprobesim.bpf.verifier.reg_type import PTR_TO_BTF_ID, PTR_TO_CTX, base_type
from kprobesim.bpf.verifier.state import Frame, State
from kprobesim.bpf.verifier.subprogs import add_subprogs, check_max_stack_depth, check_subprogs
from kprobesim.bpf.verifier.visits import PathRecorder, Recorder, Visit
from kprobesim.bpf.verifier.walk import Walk
from kprobesim.image.btf import Btf
from kprobesim.linux_errno import Errno

__all__ = ["DEFAULT_LOG_SIZE", "Stats", "Verdict", "verify"]

DEFAULT_LOG_SIZE = 1 << 24
_LEVELS = LEVEL1 | LEVEL2 | STATS
_UNPRIVILEGED_TYPES = ("socket_filter", "cgroup_skb")
_TAIL_CALL = 12
_LARGEST_LOG = (1 << 30) - 1


@dataclass(frozen=True, slots=True)
class Stats:
    """The figures of the log's last line, and the depth of each function's stack."""

    insn_processed: int
    max_states_per_insn: int
    total_states: int
    peak_states: int
    mark_read: int
    stack_depths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the verifier says.

    Attributes:
        log: the text, if a log was asked for.
        rejected: why the program is refused, or None.
        stats: figures.
        seen: by instruction, whether any path reached it.
        visits: the walk, if it was to be recorded.
        visits_dropped: visits beyond the limit of the record.
        insns: the program.
        helper_maps: slot of a call -> the map that it is given on every path, for helpers that take one.
        max_ctx_offset: how many bytes of the context it reads, from its beginning.
        probe_loads: slots of loads through pointers to kernel structs, which may be bad: these must not fault.
        ctx_accesses: slots of the loads and stores that go to the context.
    """

    log: str
    rejected: Rejected | None
    stats: Stats
    seen: bytes = b""
    visits: list[Visit] = field(default_factory=list)
    visits_dropped: int = 0
    insns: tuple[Insn, ...] = ()
    helper_maps: Mapping[int, MapMeta] = field(default_factory=dict)
    max_ctx_offset: int = 0
    probe_loads: frozenset[int] = frozenset()
    ctx_accesses: frozenset[int] = frozenset()
    _again: Callable[[Recorder], "Verdict"] | None = field(default=None, repr=False, compare=False)

    def walk(self, limit: int = 20_000) -> Walk:
        """The walk of the first ``limit`` visits, as data.

        Nothing is kept while a program is verified: it is verified again, with a record, when this is asked for.
        """
        if self._again is None:
            return Walk([], 0, self.insns)
        again = self._again(Recorder(limit))
        return Walk(again.visits, again.visits_dropped, self.insns)

    def last_path(self, limit: int = 4096) -> Walk:
        """The path that was looked at last: for a rejected program the one that failed; its last ``limit`` visits."""
        if self._again is None:
            return Walk([], 0, self.insns)
        again = self._again(PathRecorder(limit))
        return Walk(again.visits, again.visits_dropped, self.insns)

    @property
    def errno(self) -> int:
        """0, or what bpf(2) returns."""
        return int(self.rejected.errno) if self.rejected else 0


def verify(
    insns: Sequence[Insn],
    prog_type: str,
    maps: Mapping[int, MapMeta] | Callable[[int, Insn], MapMeta | None] | None = None,
    *,
    log_level: int = LEVEL1,
    log_size: int = DEFAULT_LOG_SIZE,
    unpriv: bool = False,
    strict_alignment: bool = False,
    test_state_freq: bool = False,
    gpl_compatible: bool = True,
    jit: bool = True,
    static_functions: bool = False,
    sleepable: bool = False,
    attach_type: str = "",
    attach_func: str = "",
    btf: Btf | None = None,
    functions: Sequence[FunctionType] | None = None,
    kprobe_override: bool = False,
    function_facts: Callable[[str], FunctionFacts | None] | None = None,
    source_lines: Mapping[int, str] | None = None,
    types: ProgramBtf | None = None,
    record: int = 0,
    stop_after: int = BPF_COMPLEXITY_LIMIT_INSNS,
) -> Verdict:
    """Verify a program.

    Args:
        insns: one entry per 8-byte slot.
        prog_type: a name out of PROG_TYPES.
        maps: by the slot of the LDDW that names it, or a function of slot and instruction.
        log_level: LEVEL1, LEVEL2 and STATS bits; 0 for no log.
        log_size: bytes of log that the user has room for.
        unpriv: whether the user lacks all capabilities.
        strict_alignment: BPF_F_STRICT_ALIGNMENT.
        test_state_freq: BPF_F_TEST_STATE_FREQ.
        gpl_compatible: whether GPL-only helpers may be called.
        jit: whether programs get compiled.
        static_functions: whether types say that the program's functions are static, as callbacks must be.
        sleepable: BPF_F_SLEEPABLE.
        attach_type: where the program will be attached, as bpftool names it: ``cgroup_inet4_bind``.
        attach_func: the kernel function, or for ``trace_raw_tp`` the tracepoint, that a tracing program is for.
        btf: the kernel's types, without which structs of the kernel are closed books.
        functions: what the program's own types say of its functions, the first one too; None without types.
        kprobe_override: whether the kernel has CONFIG_BPF_KPROBE_OVERRIDE.
        function_facts: what there is to know of a function of the kernel beside its type; None for one that is not in
            its code. Without it a tracing program is not asked whether it may be where it wants to be.
        source_lines: instruction -> the source line that begins there; shown in the log.
        types: what the program is loaded with of types of its own: functions and lines are checked, and functions
            looked at as these types say.
        record: how many visits to record.
        stop_after: instructions to process at most; Linux's own limit unless told.

    Returns:
        The verdict; a rejection is in it and not raised.
    """
    limit = BPF_MAXINSNS if unpriv else BPF_COMPLEXITY_LIMIT_INSNS
    log = Log(log_level, log_size, _line_finder(source_lines))
    map_at: Callable[[int, Insn], MapMeta | None]
    if maps is None or isinstance(maps, Mapping):
        by_slot = maps or {}
        map_at = lambda slot, insn: by_slot.get(slot)  # noqa: E731
    else:
        map_at = maps
    setup = Setup(
        insns,
        prog_type,
        map_at,
        unpriv,
        strict_alignment,
        test_state_freq and not unpriv,
        gpl_compatible,
        jit,
        static_functions,
        stop_after,
        sleepable,
        usual_attach_type(prog_type, attach_type),
        attach_func,
        btf,
        functions,
        kprobe_override,
        function_facts,
        types,
    )
    empty = Stats(0, 0, 0, 0, 0, ())
    if log_level & ~_LEVELS or log_level < 0 or (log_level and not 128 <= log_size <= _LARGEST_LOG):
        return Verdict("", Rejected(Errno.EINVAL, "", hint="There is no such log level, or no room."), empty)
    if not 0 < len(insns) <= limit:
        hint = f"A program has 1 to {limit} instructions, this one has {len(insns)}."
        return Verdict("", Rejected(Errno.E2BIG, "", hint=hint), empty)
    if unpriv and prog_type not in _UNPRIVILEGED_TYPES:
        return Verdict("", Rejected(Errno.EPERM, "", hint="Such programs need CAP_BPF."), empty)
    if not attach_type_fits(prog_type, setup.attach_type):
        hint = f"Programs of type {prog_type} must say where they will be attached."
        return Verdict("", Rejected(Errno.EINVAL, "", hint=hint), empty)

    def again(recorder: Recorder) -> Verdict:
        return _run(Env(setup, Log(0, 0)), recorder)

    verdict = _run(Env(setup, log), Recorder(record) if record else None)
    return replace(verdict, _again=again)


def _line_finder(lines: Mapping[int, str] | None) -> Callable[[int], tuple[int, str] | None]:
    if not lines:
        return lambda insn: None
    starts = sorted(lines)

    def find(insn: int) -> tuple[int, str] | None:
        # An instruction before the first line counts as the first line's.
        at = starts[max(bisect_right(starts, insn) - 1, 0)]
        return at, lines[at]

    return find


def _run(env: Env, recorder: Recorder | None) -> Verdict:
    started = time.perf_counter()
    rejected = None
    try:
        _check(env, recorder)
    except Rejected as refused:
        rejected = refused
        if recorder is not None:
            recorder.rejected(refused.message)
    stats = _stats(env)
    _print_stats(env, stats, time.perf_counter() - started)
    if env.log.on and env.log.full:
        rejected = Rejected(Errno.ENOSPC, "", hint="The log did not fit its buffer.")
    if rejected is not None:
        rejected.log = env.log.text
    if isinstance(recorder, PathRecorder):
        recorder.finish()
    visits, dropped = (recorder.visits, recorder.dropped) if recorder else ([], 0)
    maps = {slot: aux.helper_map for slot, aux in env.aux.items() if aux.helper_map and not aux.map_poisoned}
    seen, insns = bytes(env.seen), tuple(env.insns)
    probe_loads = frozenset(
        slot
        for slot, aux in env.aux.items()
        if insns[slot].cls is Class.LDX and base_type(aux.ptr_type) == PTR_TO_BTF_ID
    )
    reads, accesses = env.max_ctx_offset, frozenset(env.ctx_accesses)
    return Verdict(env.log.text, rejected, stats, seen, visits, dropped, insns, maps, reads, probe_loads, accesses)


def _check(env: Env, recorder: Recorder | None) -> None:
    add_subprogs(env)
    check_subprogs(env)
    functions = env.functions
    if functions is not None and len(functions) != len(env.subprogs):
        env.reject(Errno.EINVAL, "number of funcs in func_info doesn't match number of subprogs")
    check_btf_info(env)
    check_attach(env)
    resolve_pseudo_ldimm64(env)
    check_cfg(env)
    for number, function in enumerate(env.functions or ()):
        if number and function.is_global:
            _check_function(env, number, prepare_arguments(env, number), recorder)
            if env.log.per_insn:
                env.log.write(f"Func#{number} is safe for any args that match its prototype\n")
    _check_function(env, 0, [env.pointer(PTR_TO_CTX)], recorder)
    check_max_stack_depth(env)
    _check_leftovers(env)


def _check_function(env: Env, number: int, arguments: list[Reg], recorder: Recorder | None) -> None:
    """Walk one function on its own (do_check_common)."""
    frame = Frame(env.not_init, -1, 0, number)
    frame.values[1 : 1 + len(arguments)] = arguments
    env.state = State(frame)
    env.state.path = env.paths
    env.paths += 1
    env.state.first_insn_idx = env.insn_idx = env.subprogs[number].start
    env.prev_insn_idx = -1
    env.explored = {}
    env.log.forget_line()
    env.log.all_scratched()
    if number == 0:
        check_main_arguments(env)
    do_check(env, recorder)
    if not env.log.deep:
        env.log.cut(0)


def _check_leftovers(env: Env) -> None:
    """What shows only when the program is rewritten (do_misc_fixups); dead code is gone by then."""
    for index, insn in enumerate(env.insns):
        if insn.code != 0x85 or not env.seen[index]:
            continue
        env.insn_idx = index
        if insn.src == 2 and insn.imm == 0:
            env.reject(Errno.EINVAL, "invalid kernel function call not eliminated in verifier pass")
        if insn.src == 0 and insn.imm == _TAIL_CALL:
            aux = env.aux_of(index)
            if aux.map_unpriv and aux.map_poisoned:
                env.reject(Errno.EINVAL, "tail_call abusing map_ptr")


def _stats(env: Env) -> Stats:
    counters = env.counters
    return Stats(
        counters.insn_processed,
        counters.max_states_per_insn,
        counters.total_states,
        counters.peak_states,
        env.longest_mark_read,
        tuple(sub.stack_depth for sub in env.subprogs),
    )


def _print_stats(env: Env, stats: Stats, seconds: float) -> None:
    log = env.log
    if log.level & STATS:
        log.write(f"verification time {seconds * 1e6:.0f} usec\n")
        log.write(f"stack depth {'+'.join(map(str, stats.stack_depths))}\n")
    log.write(
        f"processed {stats.insn_processed} insns (limit {BPF_COMPLEXITY_LIMIT_INSNS}) "
        f"max_states_per_insn {stats.max_states_per_insn} total_states {stats.total_states} "
        f"peak_states {stats.peak_states} mark_read {stats.mark_read}\n"
    )
