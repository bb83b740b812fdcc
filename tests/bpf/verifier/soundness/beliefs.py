"""What the verifier believes at each instruction, held against what is there when the program runs.

A program is verified once more without pruning, so that every path is walked to its end, and the states are kept. What
was accepted must be accepted then too. When
it then runs, one of the states kept for an instruction must fit: every number in its ranges, every pointer where it is
said to point, every spilled number and every zero of the stack as believed.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from kprobesim.bpf.verifier import Verdict, do_check
from kprobesim.bpf.verifier.log import reg_text
from kprobesim.bpf.verifier.reg import U32_MAX, Reg, s32, s64
from kprobesim.bpf.verifier.reg_type import PTR_TO_CTX, PTR_TO_MAP_VALUE, PTR_TO_STACK, SCALAR_VALUE
from kprobesim.bpf.verifier.state import SLOT0, STACK_SPILL, STACK_ZERO, Frame
from kprobesim.bpf.verifier.visits import Recorder

__all__ = ["Beliefs", "Moment", "PrunedTooMuch", "beliefs_of"]

_MOST_VISITS = 1500
_M64 = (1 << 64) - 1


class Moment(NamedTuple):
    """The running program before an instruction.

    Attributes:
        pc: the instruction.
        regs: R0 to R10.
        tops: the frame pointers of all functions that run, the outermost one's first.
        word: reads the 8 bytes at an address.
        values: for a map's name the address of its only value, if it has but one.
        ctx: address of the context.
    """

    pc: int
    regs: list[int]
    tops: list[int]
    word: Callable[[int], int]
    values: dict[str, int]
    ctx: int


class _Known(NamedTuple):
    """A frame as it was believed to be."""

    values: tuple[Reg, ...]
    kinds: tuple[bytes, ...]

    @classmethod
    def of(cls, frame: Frame) -> "_Known":
        return cls(tuple(frame.values), tuple(frame.kinds))


class PrunedTooMuch(Exception):
    """A path was left out on which the verifier would have found an error."""


class _TooLong(Exception):
    """Too many visits to keep."""


class _Keeper(Recorder):
    def __init__(self) -> None:
        super().__init__(0)
        self.states: dict[int, list[tuple[_Known, ...]]] = defaultdict(list)
        self.left = _MOST_VISITS

    def before(self, env: Any) -> None:
        self.left -= 1
        if not self.left:
            raise _TooLong
        self.states[env.insn_idx].append(tuple(_Known.of(frame) for frame in env.state.frames))

    def after(self, env: Any, ended: bool) -> None:
        pass


def _never_visited(env: Any, insn_idx: int) -> bool:
    """is_state_visited without a memory; what precision needs of the path is kept."""
    env.state.last_insn_idx = env.prev_insn_idx
    if env.jmp_points[insn_idx]:
        env.state.jmp_history.append((insn_idx, env.prev_insn_idx))
    return False


def _in_ranges(reg: Reg, value: int) -> bool:
    return (
        reg.var_off.contains(value)
        and reg.umin <= value <= reg.umax
        and reg.smin <= s64(value) <= reg.smax
        and reg.u32_min <= value & U32_MAX <= reg.u32_max
        and reg.s32_min <= s32(value) <= reg.s32_max
    )


def _offset_in_ranges(reg: Reg, offset: int) -> bool:
    """A pointer's variable offset; of its low half Linux keeps nothing."""
    offset &= _M64
    return reg.var_off.contains(offset) and reg.umin <= offset <= reg.umax and reg.smin <= s64(offset) <= reg.smax


def _fits(reg: Reg, value: int, at: Moment) -> bool:
    if reg.type == SCALAR_VALUE:
        return _in_ranges(reg, value)
    if reg.type == PTR_TO_STACK:
        return _offset_in_ranges(reg, value - at.tops[reg.frameno] - reg.off)
    if reg.type == PTR_TO_CTX:
        return _offset_in_ranges(reg, value - at.ctx - reg.off)
    if reg.type == PTR_TO_MAP_VALUE and reg.map is not None:
        start = at.values.get(reg.map.name)
        return value != 0 if start is None else _offset_in_ranges(reg, value - start - reg.off)
    return True


def _misfit(known: tuple[_Known, ...], at: Moment) -> str:
    """What does not fit; nothing if all does."""
    if len(known) != len(at.tops):
        return "another function is running"
    for number, value in enumerate(at.regs[:10]):
        reg = known[-1].values[number]
        if not _fits(reg, value, at):
            return f"R{number} is {value:#x}, not {reg_text(reg)}"
    for frame, top in zip(known, at.tops, strict=True):
        for slot, kinds in enumerate(frame.kinds):
            if not any(kind in (STACK_SPILL, STACK_ZERO) for kind in kinds):
                continue
            word = at.word(top - 8 * (slot + 1))
            # The kind of the byte at the highest address comes first.
            if any(kind == STACK_ZERO and word >> 8 * (7 - i) & 0xFF for i, kind in enumerate(kinds)):
                return f"fp-{8 * (slot + 1)} is {word:#x}, and not zero where it should be"
            reg = frame.values[SLOT0 + slot]
            spilled = kinds.count(STACK_SPILL)
            if kinds[0] == STACK_SPILL and not _fits(reg, word, at):
                return f"fp-{8 * (slot + 1)} is {word:#x}, not {reg_text(reg)}"
            if kinds[7] == STACK_SPILL and spilled < 8 and not _low_fits(reg, word, 8 * spilled):
                return f"fp-{8 * (slot + 1)} is {word:#x}, its low {8 * spilled} bits not {reg_text(reg)}"
    return ""


def _low_fits(reg: Reg, word: int, bits: int) -> bool:
    mask = (1 << bits) - 1
    return not (word ^ reg.var_off.value) & ~reg.var_off.mask & mask


class Beliefs:
    """The states of all paths, by instruction."""

    def __init__(self, states: dict[int, list[tuple[_Known, ...]]]) -> None:
        self._states = states

    def misfit(self, at: Moment) -> str:
        """Why no state fits; nothing if one does."""
        found = self._states.get(at.pc)
        if not found:
            return "the verifier never saw it"
        said = ""
        for known in found:
            said = _misfit(known, at)
            if not said:
                return ""
        return said


def beliefs_of(verdict: Verdict) -> Beliefs | None:
    """What is believed when an accepted program is verified again; None if it has too many paths or cannot be.

    Raises:
        PrunedTooMuch: the program is refused if all paths are walked to their ends.
    """
    if verdict._again is None:
        return None
    keeper = _Keeper()
    usual = vars(do_check)["is_state_visited"]
    setattr(do_check, "is_state_visited", _never_visited)  # noqa: B010 - a name that the module only imports
    try:
        whole = verdict._again(keeper)
    except _TooLong:
        return None
    finally:
        setattr(do_check, "is_state_visited", usual)  # noqa: B010
    if whole.rejected is not None:
        raise PrunedTooMuch(f"insn {whole.rejected.insn}: {whole.rejected.message}")
    return Beliefs(keeper.states)
