"""Whether a path may stop because an equal state, or a wider one, was seen to be safe before.

Follows Linux kernel/bpf/verifier.c: regsafe, stacksafe, states_equal, is_state_visited.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.verifier.env import Explored
from kprobesim.bpf.verifier.liveness import clean_state, propagate_liveness
from kprobesim.bpf.verifier.precision import mark_all_scalars_imprecise, propagate_precision
from kprobesim.bpf.verifier.reg import Reg
from kprobesim.bpf.verifier.reg_type import (
    NOT_INIT,
    PTR_MAYBE_NULL,
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_PACKET,
    PTR_TO_PACKET_META,
    PTR_TO_STACK,
    SCALAR_VALUE,
    base_type,
)
from kprobesim.bpf.verifier.state import (
    BPF_REG_FP,
    DONE,
    READ,
    SLOT0,
    STACK_INVALID,
    STACK_MISC,
    STACK_ZERO,
    Frame,
    Link,
    State,
    is_spilled,
)
from kprobesim.bpf.verifier.tnum import tnum_in
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["is_state_visited", "range_within", "states_equal"]

_COMPLEXITY_LIMIT_STATES = 64


def range_within(old: Reg, cur: Reg) -> bool:
    """Whether every bound of ``cur`` lies within ``old``'s."""
    return (
        old.umin <= cur.umin
        and old.umax >= cur.umax
        and old.smin <= cur.smin
        and old.smax >= cur.smax
        and old.u32_min <= cur.u32_min
        and old.u32_max >= cur.u32_max
        and old.s32_min <= cur.s32_min
        and old.s32_max >= cur.s32_max
    )


def _same_ids(old: int, cur: int, ids: dict[int, int]) -> bool:
    """Whether ids correspond one to one, as far as seen (Linux's check_ids)."""
    return ids.setdefault(old, cur) == cur


def _regsafe(env: "Env", old: Reg, cur: Reg, ids: dict[int, int]) -> bool:
    """Whether a place that the old path read holds nothing now that it did not then."""
    equal = old.same_value(cur)
    if old.type == PTR_TO_STACK:
        return equal and old.frameno == cur.frameno
    if equal or old.type == NOT_INIT:
        return True
    if cur.type == NOT_INIT:
        return False
    base = base_type(old.type)
    if base == SCALAR_VALUE:
        if env.explore_alu_limits or cur.type != SCALAR_VALUE:
            return False
        return not old.precise or (range_within(old, cur) and tnum_in(old.var_off, cur.var_off))
    if base in (PTR_TO_MAP_KEY, PTR_TO_MAP_VALUE):
        if old.type & PTR_MAYBE_NULL:
            return bool(cur.type & PTR_MAYBE_NULL) and old.same_shape(cur) and _same_ids(old.id, cur.id, ids)
        return old.same_shape(cur) and range_within(old, cur) and tnum_in(old.var_off, cur.var_off)
    if base in (PTR_TO_PACKET, PTR_TO_PACKET_META):
        if cur.type != old.type or old.off != cur.off or old.extent > cur.extent:
            return False
        if (old.extent < 0 or cur.extent < 0) and old.extent != cur.extent:
            return False
        if old.id and not _same_ids(old.id, cur.id, ids):
            return False
        return range_within(old, cur) and tnum_in(old.var_off, cur.var_off)
    return False


def _stacksafe(env: "Env", old: Frame, cur: Frame, ids: dict[int, int]) -> bool:
    for spi, kinds in enumerate(old.kinds):
        place = SLOT0 + spi
        if not old.live[place] & READ:
            continue
        have = cur.kinds[spi] if spi < len(cur.kinds) else None
        for i, kind in enumerate(kinds):
            if kind == STACK_INVALID or (kind == STACK_MISC and env.allow_uninit_stack):
                continue
            if have is None:
                return False
            if kind == STACK_MISC and have[i] == STACK_ZERO:
                continue
            if kind != have[i]:
                return False
            if i == 7 and is_spilled(kinds) and not _regsafe(env, old.values[place], cur.values[place], ids):
                return False
    return True


def _frames_equal(env: "Env", old: Frame, cur: Frame) -> bool:
    ids: dict[int, int] = {}
    live, values, others = old.live, old.values, cur.values
    for i in range(BPF_REG_FP + 1):
        if live[i] & READ and values[i] is not others[i] and not _regsafe(env, values[i], others[i], ids):
            return False
    return _stacksafe(env, old, cur, ids) and old.refs == cur.refs


def states_equal(env: "Env", old: State, cur: State) -> bool:
    """Whether whatever follows from ``old`` was checked for ``cur`` too."""
    if len(old.frames) != len(cur.frames) or (old.speculative and not cur.speculative):
        return False
    if old.active_spin_lock != cur.active_spin_lock:
        return False
    for was, now in zip(old.frames, cur.frames, strict=True):
        if was.callsite != now.callsite or not _frames_equal(env, was, now):
            return False
    return True


def _maybe_looping(old: State, cur: State) -> bool:
    if len(old.frames) != len(cur.frames):
        return False
    was, now = old.frames[-1].values, cur.frames[-1].values
    for i in range(BPF_REG_FP + 1):  # noqa: SIM110 - called at every jump; all() takes twice as long
        if was[i] is not now[i] and not was[i].same_value(now[i]):
            return False
    return True


def _push_jmp_history(env: "Env") -> None:
    if env.jmp_points[env.insn_idx]:
        env.state.jmp_history.append((env.insn_idx, env.prev_insn_idx))


def _clean_live_states(env: "Env", bucket: list[Explored], insn_idx: int) -> None:
    cur = env.state
    for known in bucket:
        state = known.state
        if state.branches or state.insn_idx != insn_idx or len(state.frames) != len(cur.frames):
            continue
        if state.frames[0].live[0] & DONE:
            continue
        if all(a.callsite == b.callsite for a, b in zip(state.frames, cur.frames, strict=True)):
            clean_state(state, lambda: env.not_init)


def _looks_infinite(env: "Env", old: State, cur: State) -> bool:
    frame = old.frames[-1]
    if frame.in_async_callback and frame.async_entry_cnt != cur.frames[-1].async_entry_cnt:
        return False
    return _maybe_looping(old, cur) and states_equal(env, old, cur)


def is_state_visited(env: "Env", insn_idx: int) -> bool:
    """Whether the path may stop here; if not, the state may get remembered."""
    cur = env.state
    cur.last_insn_idx = env.prev_insn_idx
    if not env.prune_points[insn_idx]:
        if env.jmp_points[insn_idx]:
            cur.jmp_history.append((insn_idx, env.prev_insn_idx))
        return False
    counters = env.counters
    jumps = env.jmps_processed - env.prev_jmps_processed
    insns = counters.insn_processed - env.prev_insn_processed
    add_new_state = env.setup.test_state_freq or (jumps >= 2 and insns >= 8)
    key = ((insn_idx ^ cur.frames[-1].callsite) & 0xFFFFFFFF) % env.count
    bucket = env.explored.setdefault(key, [])
    _clean_live_states(env, bucket, insn_idx)
    seen = 0
    at = 0
    while at < len(bucket):
        known = bucket[at]
        state = known.state
        seen += 1
        if state.insn_idx != insn_idx:
            at += 1
            continue
        if state.branches:
            if _looks_infinite(env, state, cur):
                env.log.source_line(insn_idx, "; ")
                env.reject(Errno.EINVAL, f"infinite loop detected at insn {insn_idx}")
            if jumps < 20 and insns < 100:
                add_new_state = False
        elif states_equal(env, state, cur):
            known.hits += 1
            env.pruned_by = state
            propagate_liveness(env, state, cur)
            _push_jmp_history(env)
            propagate_precision(env, state)
            return True
        if add_new_state:
            known.misses += 1
        if known.misses > known.hits * 3 + 3:
            del bucket[at]
            if state.frames[0].live[0] & DONE:
                counters.peak_states -= 1
        else:
            at += 1
    counters.max_states_per_insn = max(counters.max_states_per_insn, seen)
    if not add_new_state or (not env.bpf_capable and seen > _COMPLEXITY_LIMIT_STATES):
        _push_jmp_history(env)
        return False
    _remember(env, bucket, insn_idx)
    return False


def _remember(env: "Env", bucket: list[Explored], insn_idx: int) -> None:
    """Keep a copy of the state; the path goes on as its child."""
    cur = env.state
    env.counters.total_states += 1
    env.counters.peak_states += 1
    env.prev_jmps_processed = env.jmps_processed
    env.prev_insn_processed = env.counters.insn_processed
    if env.bpf_capable:
        mark_all_scalars_imprecise(cur)
    new = cur.copy()
    new.insn_idx = insn_idx
    bucket.insert(0, Explored(new))
    cur.parent = new
    cur.first_insn_idx = insn_idx
    cur.jmp_history = []
    for depth, frame in enumerate(cur.frames):
        kept = new.frames[depth]
        links: list[Frame | Link | None] = [kept] * len(frame.values)
        links[BPF_REG_FP] = frame.parent[BPF_REG_FP]
        if depth < cur.curframe:
            links[:6] = frame.parent[:6]
        frame.parent = links
        frame.live = [0] * len(frame.live)
