"""Which scalars' exact values mattered: found by walking the path backwards.

A scalar that decided a branch or an access must be compared exactly when states are; others need not be. The walk
follows the instructions of the stretch since the last remembered state, then goes on in that state's stretch, and so
on, until it met the instructions that made the value. Follows Linux kernel/bpf/verifier.c: backtrack_insn,
mark_chain_precision, propagate_precision.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.isa import BPF_FETCH, Class, Mode, Op
from kprobesim.bpf.verifier.reg_type import SCALAR_VALUE
from kprobesim.bpf.verifier.state import BPF_REG_FP, READ, SLOT0, Frame, State, is_spilled
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = [
    "CALLBACK_HELPERS",
    "mark_all_scalars_imprecise",
    "mark_chain_precision",
    "mark_chain_precision_stack",
    "propagate_precision",
]

_CMPXCHG = 0xF1
_FIRST_ARGS = 0x3F
CALLBACK_HELPERS = frozenset({164, 170, 180, 181, 209})
"""for_each_map_elem, timer_set_callback, find_vma, loop, user_ringbuf_drain: helpers that call back."""


class _Unsupported(Exception):
    """The walk met an instruction that it cannot see through."""


def _stack_bit(env: "Env", off: int) -> int:
    """The mask bit of the stack slot at ``r10 + off``."""
    # C divides towards zero, and the result is taken as unsigned.
    number = -off - 1
    spi = number // 8 if number >= 0 else -(-number // 8)
    if not 0 <= spi < 64:
        env.reject(Errno.EFAULT, f"BUG spi {spi}")
    return 1 << spi


def _concern(env: "Env", index: int) -> tuple[int, int, str]:
    """Which registers and stack slots the walk must look at the instruction for, and how the log shows it.

    Most instructions of a stretch have nothing to do with what is followed; a walk passes each of them often.
    """
    insn = env.insns[index]
    cls = insn.code & 7
    if insn.code == 0:
        return 0, 0, ""
    shown = f"before {index}: {env.text_of(index)}\n"
    dst, src = 1 << insn.dst, 1 << insn.src
    if cls in (Class.ALU, Class.ALU64, Class.LDX):
        return dst, 0, shown
    if cls in (Class.JMP, Class.JMP32) and insn.code & 0xF0 not in (0x80, 0x90):
        return (dst | src if insn.code & 8 else 0), 0, shown
    if cls == Class.ST or (cls == Class.STX and insn.code & 0xE0 != Mode.ATOMIC):
        return dst, (_stack_bit(env, insn.off) if insn.dst == BPF_REG_FP else 0), shown
    return -1, -1, shown


def _backtrack_insn(env: "Env", index: int, regs: int, stack: int) -> tuple[int, int]:
    """What must be precise before the instruction, given what must be after it."""
    insn = env.insns[index]
    code = insn.code
    cls = code & 7
    dst, src = 1 << insn.dst, 1 << insn.src
    by_reg = code & 8
    if cls in (Class.ALU, Class.ALU64):
        if not regs & dst:
            return regs, stack
        op = code & 0xF0
        if op == Op.MOV:
            regs &= ~dst
        if by_reg and op not in (Op.END, Op.NEG):
            regs |= src
        return regs, stack
    fetches = cls == Class.STX and code & 0xE0 == Mode.ATOMIC and insn.imm & BPF_FETCH
    if cls == Class.LDX or fetches:
        loaded, base = dst, insn.src
        if fetches:
            loaded, base = (1 if insn.imm == _CMPXCHG else src), insn.dst
        if not regs & loaded:
            return regs, stack
        regs &= ~loaded
        return regs, (stack | _stack_bit(env, insn.off) if base == BPF_REG_FP else stack)
    if cls in (Class.STX, Class.ST):
        if regs & dst:
            raise _Unsupported
        if insn.dst != BPF_REG_FP:
            return regs, stack
        bit = _stack_bit(env, insn.off)
        if not stack & bit:
            return regs, stack
        return (regs | src if cls == Class.STX else regs), stack & ~bit
    if cls in (Class.JMP, Class.JMP32):
        return _backtrack_jump(env, index, regs), stack
    if regs & dst:
        regs &= ~dst
        if code & 0xE0 in (Mode.IND, Mode.ABS):
            raise _Unsupported
    return regs, stack


def _backtrack_jump(env: "Env", index: int, regs: int) -> int:
    insn = env.insns[index]
    op = insn.code & 0xF0
    if op == 0x80:
        if insn.src == 1 or (insn.src == 2 and insn.imm == 0) or (insn.src == 0 and insn.imm in CALLBACK_HELPERS):
            raise _Unsupported
        regs &= ~1
        if regs & _FIRST_ARGS:
            env.reject(Errno.EFAULT, f"BUG regs {regs:x}")
        return regs
    if op == 0x90:
        raise _Unsupported
    if insn.code & 8:
        both = 1 << insn.dst | 1 << insn.src
        if regs & both:
            regs |= both
    return regs


def _scalar_places(frame: Frame) -> list[int]:
    values = frame.values
    found = [i for i in range(BPF_REG_FP) if values[i].type == SCALAR_VALUE]
    for i, kinds in enumerate(frame.kinds):
        if is_spilled(kinds) and values[SLOT0 + i].type == SCALAR_VALUE:
            found.append(SLOT0 + i)
    return found


def _set_precise(frame: Frame, place: int, precise: bool) -> bool:
    """Set the mark; whether it was not so before."""
    if frame.values[place].precise == precise:
        return False
    frame.own(place).precise = precise
    return True


def _mark_all_scalars_precise(state: State) -> None:
    above = state.parent
    while above is not None:
        for frame in above.frames:
            for place in _scalar_places(frame):
                _set_precise(frame, place, True)
        above = above.parent


def mark_all_scalars_imprecise(state: State) -> None:
    """A fresh stretch begins: nothing is known to matter yet."""
    for frame in state.frames:
        for place in _scalar_places(frame):
            _set_precise(frame, place, False)


def mark_chain_precision(env: "Env", regno: int, frame: int = -1) -> None:
    """The exact value of a scalar register matters; in ``frame``, or the current one."""
    if regno >= 0 and env.bpf_capable:
        chosen = env.state.frames[frame]
        if chosen.values[regno].type != SCALAR_VALUE:
            env.reject(Errno.EFAULT, "")
        _mark_chain(env, env.state.frames.index(chosen), 1 << regno, 0)


def mark_chain_precision_stack(env: "Env", spi: int, frame: int) -> None:
    """The exact value of a scalar spilled to a stack slot matters."""
    if not env.bpf_capable:
        return
    chosen = env.state.frames[frame]
    if is_spilled(chosen.kinds[spi]) and chosen.values[SLOT0 + spi].type == SCALAR_VALUE:
        _mark_chain(env, frame, 0, 1 << spi)


def _walk_stretch(env: "Env", state: State, index: int, regs: int, stack: int, skip: bool) -> tuple[int, int]:
    """Backwards from ``index`` to the beginning of the state's stretch; what must be precise there.

    Args:
        env: the verifier.
        state: whose stretch it is.
        index: its last instruction.
        regs: bit mask of registers.
        stack: bit mask of slots.
        skip: whether the last instruction itself does not count.

    Raises:
        _Unsupported: it cannot be followed.
    """
    deep, write, concerns = env.log.deep, env.log.write, env.backtrack_concerns
    jumps = state.jmp_history
    history = len(jumps)
    while True:
        if skip:
            skip = False
        else:
            concern = concerns.get(index)
            if concern is None:
                concern = concerns[index] = _concern(env, index)
            if deep and concern[2]:
                write(f"regs={regs:x} stack={stack:x} {concern[2]}")
            if regs & concern[0] or stack & concern[1]:
                regs, stack = _backtrack_insn(env, index, regs, stack)
                if not regs and not stack:
                    return 0, 0
        if index == state.first_insn_idx and (history == 0 or (history == 1 and jumps[0][0] == index)):
            return regs, stack
        if history and jumps[history - 1][0] == index:
            history -= 1
            index = jumps[history][1]
        else:
            index -= 1
        if index < 0:
            return regs, stack


def _mark_chain(env: "Env", depth: int, regs: int, stack: int) -> None:
    state = env.state
    first, last = state.first_insn_idx, env.insn_idx
    skip = True
    while True:
        if env.log.deep:
            env.log.write(f"last_idx {last} first_idx {first}\n")
        if last < 0:
            _at_entry(env, state, regs, stack)
            return
        try:
            regs, stack = _walk_stretch(env, state, last, regs, stack, skip)
        except _Unsupported:
            _mark_all_scalars_precise(state)
            return
        skip = False
        if not (regs or stack) or state.parent is None:
            return
        state = state.parent
        frame = state.frames[depth]
        regs, changed = _mark_regs(frame, regs)
        left = _mark_slots(frame, stack)
        if left is None:
            _mark_all_scalars_precise(state)
            return
        stack, slots_changed = left
        changed |= slots_changed
        if env.log.deep:
            verb = "didn't have" if changed else "already had"
            env.log.write(f"parent {verb} regs={regs:x} stack={stack:x} marks:")
            env.log.state(frame)
        if not (regs or stack) or not changed:
            return
        first, last = state.first_insn_idx, state.last_insn_idx


def _at_entry(env: "Env", state: State, regs: int, stack: int) -> None:
    """The walk arrived before a global function's first instruction, where its arguments are."""
    frame = state.frames[0]
    if len(state.frames) == 1 and frame.subprogno and frame.callsite == -1 and not stack and not regs & ~0x3E:
        _mark_regs(frame, regs)
        return
    message = f"BUG backtracing func entry subprog {frame.subprogno} reg_mask {regs:x} stack_mask {stack:x}"
    env.reject(Errno.EFAULT, message)


def _mark_regs(frame: Frame, regs: int) -> tuple[int, bool]:
    changed = False
    for i in range(regs.bit_length()):
        if regs >> i & 1:
            if frame.values[i].type != SCALAR_VALUE:
                regs &= ~(1 << i)
            else:
                changed |= _set_precise(frame, i, True)
    return regs, changed


def _mark_slots(frame: Frame, stack: int) -> tuple[int, bool] | None:
    changed = False
    for i in range(stack.bit_length()):
        if not stack >> i & 1:
            continue
        if i >= len(frame.kinds):
            return None
        if not is_spilled(frame.kinds[i]) or frame.values[SLOT0 + i].type != SCALAR_VALUE:
            stack &= ~(1 << i)
        else:
            changed |= _set_precise(frame, SLOT0 + i, True)
    return stack, changed


def propagate_precision(env: "Env", old: State) -> None:
    """What mattered to an equal remembered state matters to this path too."""
    for depth in range(old.curframe, -1, -1):
        frame = old.frames[depth]
        for place in range(len(frame.values)):
            reg = frame.values[place]
            if place == BPF_REG_FP or reg.type != SCALAR_VALUE or not reg.precise or not frame.live[place] & READ:
                continue
            if place < SLOT0:
                if env.log.deep:
                    env.log.write(f"frame {depth}: propagating r{place}\n")
                mark_chain_precision(env, place, depth)
            elif is_spilled(frame.kinds[place - SLOT0]):
                spi = place - SLOT0
                if env.log.deep:
                    env.log.write(f"frame {depth}: propagating fp{-8 * (spi + 1)}\n")
                mark_chain_precision_stack(env, spi, depth)
