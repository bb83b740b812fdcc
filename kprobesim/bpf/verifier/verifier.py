"""The verifier as bpf(BPF_PROG_LOAD) calls it.

Follows Linux kernel/bpf/verifier.c: bpf_check, do_check_common, print_verification_stats.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kprobesim.bpf.check import BPF_COMPLEXITY_LIMIT_INSNS, BPF_MAXINSNS
from kprobesim.bpf.isa import Insn
from kprobesim.bpf.verifier.cfg import check_cfg
from kprobesim.bpf.verifier.do_check import do_check
from kprobesim.bpf.verifier.env import Env, Setup
from kprobesim.bpf.verifier.errors import Rejected
from kprobesim.bpf.verifier.ldimm64 import resolve_pseudo_ldimm64
from kprobesim.bpf.verifier.log import LEVEL1, LEVEL2, STATS, Log
from kprobesim.bpf.verifier.map_meta import MapMeta
from kprobesim.bpf.verifier.reg import Reg
from kprobesim.bpf.verifier.reg_type import PTR_TO_CTX
from kprobesim.bpf.verifier.state import Frame, State
from kprobesim.bpf.verifier.subprogs import add_subprogs, check_max_stack_depth, check_subprogs
from kprobesim.bpf.verifier.visits import Recorder, Visit
from kprobesim.linux_errno import Errno

__all__ = ["DEFAULT_LOG_SIZE", "Stats", "Verdict", "verify"]

DEFAULT_LOG_SIZE = 1 << 24
_LEVELS = LEVEL1 | LEVEL2 | STATS
_UNPRIVILEGED_TYPES = ("socket_filter", "cgroup_skb")
_MAY_SLEEP = ("tracing", "lsm", "kprobe")
_TAIL_CALL = 12


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
    """

    log: str
    rejected: Rejected | None
    stats: Stats
    seen: bytes = b""
    visits: list[Visit] = field(default_factory=list)
    visits_dropped: int = 0

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
    kprobe_override: bool = False,
    source_lines: Mapping[int, str] | None = None,
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
        kprobe_override: whether the kernel has CONFIG_BPF_KPROBE_OVERRIDE.
        source_lines: instruction -> the source line that begins there; shown in the log.
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
        kprobe_override,
    )
    empty = Stats(0, 0, 0, 0, 0, ())
    if log_level & ~_LEVELS or log_level < 0 or (log_level and log_size < 128):
        return Verdict("", Rejected(Errno.EINVAL, "", hint="There is no such log level, or no room."), empty)
    if not 0 < len(insns) <= limit:
        hint = f"A program has 1 to {limit} instructions, this one has {len(insns)}."
        return Verdict("", Rejected(Errno.E2BIG, "", hint=hint), empty)
    if unpriv and prog_type not in _UNPRIVILEGED_TYPES:
        return Verdict("", Rejected(Errno.EPERM, "", hint="Such programs need CAP_BPF."), empty)
    return _run(Env(setup, log), Recorder(record) if record else None)


def _line_finder(lines: Mapping[int, str] | None) -> Callable[[int], tuple[int, str] | None]:
    if not lines:
        return lambda insn: None
    starts = sorted(lines)

    def find(insn: int) -> tuple[int, str] | None:
        # An instruction before the first line counts as the first line's.
        at = max((start for start in starts if start <= insn), default=starts[0])
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
    visits, dropped = (recorder.visits, recorder.dropped) if recorder else ([], 0)
    return Verdict(env.log.text, rejected, stats, bytes(env.seen), visits, dropped)


def _check(env: Env, recorder: Recorder | None) -> None:
    add_subprogs(env)
    check_subprogs(env)
    if not env.setup.static_functions:
        _check_abnormal_return(env)
    if env.setup.sleepable and env.prog_type not in _MAY_SLEEP:
        said = "Only fentry/fexit/fmod_ret, lsm, and kprobe/uprobe programs can be sleepable"
        env.reject(Errno.EINVAL, said)
    resolve_pseudo_ldimm64(env)
    check_cfg(env)
    frame = Frame(env.not_init, -1, 0, 0)
    ctx = Reg(PTR_TO_CTX)
    ctx.precise = env.not_init.precise
    frame.values[1] = ctx
    env.state = State(frame)
    env.log.all_scratched()
    do_check(env, recorder)
    if not env.log.deep:
        env.log.cut(0)
    check_max_stack_depth(env)
    _check_leftovers(env)


def _check_abnormal_return(env: Env) -> None:
    """What only functions with types may do (check_abnormal_return)."""
    for sub in env.subprogs[1:]:
        if sub.has_ld_abs:
            env.reject(Errno.EINVAL, "LD_ABS is not allowed in subprogs without BTF")
        if sub.has_tail_call:
            env.reject(Errno.EINVAL, "tail_call is not allowed in subprogs without BTF")


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
