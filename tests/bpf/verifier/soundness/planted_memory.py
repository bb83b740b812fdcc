"""Errors in what is believed of memory, of calls, and of paths that were seen before."""

from typing import Any

from kprobesim.bpf.verifier import (
    alu,
    calls,
    do_check,
    env,
    func_args,
    helper_call,
    jumps,
    mem_access,
    precision,
    prune,
    ptr_alu,
    region,
    stack_access,
    stack_range,
    state,
)
from kprobesim.bpf.verifier import (
    ctx_access as contexts,
)
from kprobesim.bpf.verifier.reg import Reg, known_reg
from kprobesim.bpf.verifier.reg_type import PTR_MAYBE_NULL, SCALAR_VALUE
from kprobesim.bpf.verifier.state import SLOT0, STACK_SPILL, STACK_ZERO
from tests.bpf.verifier.soundness.plant import Errors, Put, nothing

__all__ = ["MEMORY"]

MEMORY = Errors()


# Pointers


@MEMORY
def one_byte_too_many(put: Put) -> None:
    inside = region._inside
    put(
        region,
        "_inside",
        lambda verifier, regno, off, size, limit, zero_ok: inside(verifier, regno, off, size, limit + 1, zero_ok),
    )


@MEMORY
def lowest_offset_not_looked_at(put: Put) -> None:
    put(region, "_negative", nothing)
    inside = region._inside
    put(
        region,
        "_inside",
        lambda verifier, regno, off, size, limit, zero_ok: (
            off < 0 or inside(verifier, regno, off, size, limit, zero_ok)
        ),
    )


@MEMORY
def variable_offset_forgotten(put: Put) -> None:
    """A second addition to a pointer forgets the first."""
    add = ptr_alu._add

    def wrong(verifier: Any, ptr: Reg, off: Reg, dst: Reg) -> None:
        add(verifier, Reg(ptr.type).with_(off=ptr.off), off, dst)

    put(ptr_alu, "_add", wrong)


@MEMORY
def fixed_offset_forgotten(put: Put) -> None:
    access = mem_access.check_mem_access

    def wrong(verifier: Any, regno: int, off: int, *rest: Any) -> None:
        access(verifier, regno, 0, *rest)

    put(do_check, "check_mem_access", wrong)


@MEMORY
def pointer_minus_number_taken_for_plus(put: Put) -> None:
    put(ptr_alu, "_sub", ptr_alu._add)


@MEMORY
def lookup_never_null(put: Put) -> None:
    result = helper_call._result

    def wrong(verifier: Any, meta: Any, proto: Any) -> Reg:
        reg = result(verifier, meta, proto)
        return reg.with_(type=reg.type & ~PTR_MAYBE_NULL, id=0)

    put(helper_call, "_result", wrong)


@MEMORY
def null_check_teaches_the_wrong_edge(put: Put) -> None:
    mark = jumps._mark_ptr_or_null
    put(jumps, "_mark_ptr_or_null", lambda state, regno, is_null: mark(state, regno, not is_null))


@MEMORY
def context_a_word_longer(put: Put) -> None:
    put(contexts, "PT_REGS_SIZE", contexts.PT_REGS_SIZE + 8)


# The stack


@MEMORY
def narrow_fill_for_a_whole_spill(put: Put) -> None:
    """Eight bytes are filled from a spill of four."""

    def wrong(frame: Any, spi: int, reg: Reg, size: int) -> None:
        frame.values[SLOT0 + spi] = reg
        frame.kinds[spi] = bytes([STACK_SPILL]) * 8
        if size == 8:
            frame.live[SLOT0 + spi] |= state.WRITTEN

    put(stack_access, "_save_register", wrong)


@MEMORY
def store_leaves_the_spilled_number(put: Put) -> None:
    """A store of some bytes into a slot with a spilled number keeps the number."""
    write = stack_access._write_misc

    def wrong(verifier: Any, frame: Any, slot: int, size: int, value_regno: int) -> None:
        spi = slot >> 3
        kinds, value = frame.kinds[spi], frame.values[SLOT0 + spi]
        write(verifier, frame, slot, size, value_regno)
        if state.is_spilled(kinds) and size < 8:
            frame.kinds[spi], frame.values[SLOT0 + spi] = kinds, value

    put(stack_access, "_write_misc", wrong)


@MEMORY
def store_at_a_variable_offset_leaves_spilled_numbers(put: Put) -> None:
    put(stack_access, "_write_var", nothing)


@MEMORY
def helper_leaves_the_spilled_number(put: Put) -> None:
    check = stack_range.check_stack_range_initialized

    def wrong(*args: Any, helper: bool = False, **rest: Any) -> None:
        check(*args, helper=False, **rest)

    put(func_args, "check_stack_range_initialized", wrong)


@MEMORY
def zero_bytes_where_anything_was_stored(put: Put) -> None:
    load = stack_access.load_stack_bytes

    def wrong(verifier: Any, frame: Any, low: int, high: int, dst_regno: int) -> None:
        if frame.kinds[(-low - 1) >> 3][(-low - 1) & 7] == STACK_ZERO:
            high = low + 1
        load(verifier, frame, low, high, dst_regno)

    put(stack_access, "load_stack_bytes", wrong)
    put(stack_range, "load_stack_bytes", wrong)


@MEMORY
def every_store_counts_as_zero(put: Put) -> None:
    put(stack_access, "STACK_MISC", STACK_ZERO)


@MEMORY
def stack_a_slot_deeper_than_counted(put: Put) -> None:
    within = stack_access.check_stack_access_within_bounds

    def wrong(verifier: Any, *args: Any, **rest: Any) -> None:
        sub = verifier.subprogs[verifier.frame.subprogno]
        before = sub.stack_depth
        within(verifier, *args, **rest)
        sub.stack_depth = max(before, sub.stack_depth - 8)

    put(mem_access, "check_stack_access_within_bounds", wrong)


# Calls


@MEMORY
def arguments_survive_a_call(put: Put) -> None:
    put(env.Env, "clear_caller_saved", nothing)


@MEMORY
def result_of_a_function_is_zero(put: Put) -> None:
    leave = calls.prepare_func_exit

    def wrong(verifier: Any) -> None:
        leave(verifier)
        if verifier.frame.values[0].type == SCALAR_VALUE:
            verifier.frame.values[0] = known_reg(0)

    put(do_check, "prepare_func_exit", wrong)


@MEMORY
def arguments_come_in_the_wrong_order(put: Put) -> None:
    def wrong(verifier: Any, caller: Any, callee: Any, meta: Any) -> None:
        for i in range(1, 6):
            callee.copy_place(i, caller, 6 - i)

    put(calls, "_pass_args", wrong)


@MEMORY
def size_of_a_buffer_not_looked_at(put: Put) -> None:
    check = func_args.check_helper_mem_access

    def wrong(verifier: Any, regno: int, size: int, write: bool, zero_ok: bool, meta: Any) -> None:
        check(verifier, regno, min(size, 8), write, zero_ok, meta)

    put(func_args, "check_helper_mem_access", wrong)


@MEMORY
def smallest_size_not_looked_at(put: Put) -> None:
    """A size that may be negative passes if its largest value, taken as signed, fits."""
    check = func_args._check_mem_size

    def wrong(verifier: Any, regno: int, write: bool, zero_ok: bool, meta: Any) -> None:
        frame = verifier.frame
        reg = frame.values[regno]
        if reg.smin < 0 <= reg.smax:
            frame.values[regno] = reg.with_(smin=0, umin=0, umax=reg.smax)
        check(verifier, regno, write, zero_ok, meta)
        frame.values[regno] = reg

    put(func_args, "_check_mem_size", wrong)


@MEMORY
def records_need_not_be_given_back(put: Put) -> None:
    put(do_check, "check_reference_leak", nothing)


@MEMORY
def record_usable_after_it_was_given_back(put: Put) -> None:
    def wrong(verifier: Any, number: int) -> bool:
        return bool(helper_call.release_reference_state(verifier.frame, number))  # type: ignore[attr-defined]

    from kprobesim.bpf.verifier.references import release_reference_state

    put(helper_call, "release_reference_state", release_reference_state)
    put(helper_call, "release_reference", wrong)


@MEMORY
def atomic_leaves_its_register(put: Put) -> None:
    """What an atomic operation fetched is taken for what was there before."""
    atomic = mem_access.check_atomic

    def wrong(verifier: Any, insn: Any) -> None:
        before = verifier.frame.values[insn.src]
        atomic(verifier, insn)
        if insn.imm & 1 and insn.imm != 0xF1 and insn.src != 10:
            verifier.frame.values[insn.src] = before

    put(do_check, "check_atomic", wrong)


@MEMORY
def compare_and_exchange_leaves_r0(put: Put) -> None:
    atomic = mem_access.check_atomic

    def wrong(verifier: Any, insn: Any) -> None:
        before = verifier.frame.values[0]
        atomic(verifier, insn)
        if insn.imm == 0xF1:
            verifier.frame.values[0] = before

    put(do_check, "check_atomic", wrong)


# Pruning


@MEMORY
def registers_not_compared(put: Put) -> None:
    put(prune, "_regsafe", lambda verifier, old, cur, ids: True)


@MEMORY
def stacks_not_compared(put: Put) -> None:
    put(prune, "_stacksafe", lambda verifier, old, cur, ids: True)


@MEMORY
def ranges_not_compared(put: Put) -> None:
    put(prune, "range_within", lambda old, cur: True)
    put(prune, "tnum_in", lambda old, cur: True)


@MEMORY
def callers_frames_not_compared(put: Put) -> None:
    equal = prune._frames_equal

    def wrong(verifier: Any, old: Any, cur: Any) -> bool:
        return cur is not verifier.frame or equal(verifier, old, cur)

    put(prune, "_frames_equal", wrong)


@MEMORY
def references_not_compared(put: Put) -> None:
    equal = prune._frames_equal

    def wrong(verifier: Any, old: Any, cur: Any) -> bool:
        kept, cur.refs = cur.refs, old.refs
        try:
            return equal(verifier, old, cur)
        finally:
            cur.refs = kept

    put(prune, "_frames_equal", wrong)


@MEMORY
def reads_not_propagated_when_pruned(put: Put) -> None:
    put(prune, "propagate_liveness", nothing)


@MEMORY
def reads_of_the_stack_not_marked(put: Put) -> None:
    put(stack_access, "mark_place_read", nothing)
    put(stack_range, "mark_place_read", nothing)


@MEMORY
def precision_not_propagated_when_pruned(put: Put) -> None:
    put(prune, "propagate_precision", nothing)


@MEMORY
def precision_of_jumps_not_marked(put: Put) -> None:
    put(jumps, "mark_chain_precision", nothing)


@MEMORY
def precision_of_offsets_not_marked(put: Put) -> None:
    put(alu, "mark_chain_precision", nothing)


@MEMORY
def precision_not_followed_through_the_stack(put: Put) -> None:
    put(precision, "_mark_slots", lambda frame, stack: (0, False))


@MEMORY
def loops_that_may_not_end(put: Put) -> None:
    """A state that is the same as one of its own ancestors counts as seen."""
    put(prune, "_looks_infinite", lambda verifier, old, cur: False)
    equal = prune.states_equal
    visited = prune.is_state_visited

    def wrong(verifier: Any, insn_idx: int) -> bool:
        cur = verifier.state
        if verifier.prune_points[insn_idx]:
            key = ((insn_idx ^ cur.frames[-1].callsite) & 0xFFFFFFFF) % verifier.count
            for known in verifier.explored.get(key, ()):
                if known.state.branches and known.state.insn_idx == insn_idx and equal(verifier, known.state, cur):
                    return True
        return visited(verifier, insn_idx)

    put(do_check, "is_state_visited", wrong)
