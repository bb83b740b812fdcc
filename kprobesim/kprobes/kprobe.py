"""``struct kprobe`` and what the core keeps beside it.

Names follow Linux include/linux/kprobes.h and arch/x86/include/asm/kprobes.h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any, Final, NamedTuple

from kprobesim.kprobes.detour import OptInsn
from kprobesim.kprobes.pt_regs import PtRegs
from kprobesim.machine import Answer

__all__ = [
    "INT3",
    "NOP5",
    "NOTHING_BEFORE",
    "ArchSpecificInsn",
    "Kprobe",
    "KprobeCtlblk",
    "KprobeFlag",
    "KprobeStatus",
    "PostHandler",
    "PreHandler",
]

INT3: Final = 0xCC
NOP5: Final = bytes.fromhex("0f1f440000")

PreHandler = Callable[["Kprobe", PtRegs], Answer]
PostHandler = Callable[["Kprobe", PtRegs, int], None]


class KprobeFlag(IntFlag):
    """``KPROBE_FLAG_*``."""

    GONE = 1
    DISABLED = 2
    OPTIMIZED = 4
    FTRACE = 8
    ON_FUNC_ENTRY = 16


# Asked at every hit: plain numbers, as the operators of IntFlag take a microsecond.
_DISABLED_OR_GONE: Final = int(KprobeFlag.DISABLED | KprobeFlag.GONE)
_OPTIMIZED: Final = int(KprobeFlag.OPTIMIZED)


class KprobeStatus(IntEnum):
    """``KPROBE_HIT_*`` and ``KPROBE_REENTER``: what the CPU is doing about a probe."""

    NONE = 0
    HIT_ACTIVE = 1
    HIT_SS = 2
    REENTER = 4
    HIT_SSDONE = 8


@dataclass(frozen=True)
class ArchSpecificInsn:
    """``struct arch_specific_insn``: the displaced instruction, ready to run elsewhere or to be emulated.

    Attributes:
        insn: address of the copy in its slot.
        size: length of the instruction in bytes.
        original: its bytes as they were in the text.
        copy: the bytes in the slot, with the int3 or the jump behind the copy.
        text: the instruction as objdump prints it.
        emulate_op: what does its work instead, for the instructions that cannot run from a slot.
        boostable: the copy ends in a jump back to the text, so that no second trap is needed.
        if_modifier: it may change IF; looked at where the trap flag ends a step.
    """

    insn: int
    size: int
    original: bytes
    copy: bytes
    text: str
    emulate_op: Callable[[PtRegs], None] | None = None
    boostable: bool = False
    if_modifier: bool = False


class _State(NamedTuple):
    addr: int | None
    flags: KprobeFlag
    nmissed: int
    opcode: int
    ainsn: ArchSpecificInsn | None
    children: tuple[Kprobe, ...]
    post_handler: PostHandler | None
    optinsn: OptInsn | None


@dataclass(eq=False)
class Kprobe:
    """A probe at one instruction of the kernel.

    Exactly one of ``symbol_name`` and ``address`` says where.

    Attributes:
        symbol_name: a kernel symbol.
        offset: bytes from it.
        address: or the address itself.
        pre_handler: called before the instruction; non-zero says that it has changed ``regs.ip`` and nothing is to be
            stepped. Its answer may come by way of the guest.
        post_handler: called after the instruction was stepped.
        disabled: register it without arming it.
        name: what events call it; ``symbol+offset`` by default.
        data: whatever its owner likes.
        addr: where it is, while it is registered.
        nmissed: hits whose handlers were not run.
        opcode: the byte that the int3 hides.
        children: for an aggregator, the probes behind it, the latest first.
        optinsn: for an aggregator, the detour buffer, if there is one: then it is a ``struct optimized_kprobe``.
    """

    symbol_name: str | None = None
    offset: int = 0
    address: int | None = None
    pre_handler: PreHandler | None = None
    post_handler: PostHandler | None = None
    disabled: bool = False
    name: str = ""
    data: Any = None
    addr: int | None = field(default=None, init=False)
    flags: KprobeFlag = field(default=KprobeFlag(0), init=False)
    nmissed: int = field(default=0, init=False)
    opcode: int = field(default=0, init=False)
    ainsn: ArchSpecificInsn | None = field(default=None, init=False)
    children: list[Kprobe] | None = field(default=None, init=False)
    optinsn: OptInsn | None = field(default=None, init=False)

    @property
    def is_disabled(self) -> bool:
        """``kprobe_disabled()``: disabled, or gone with its module."""
        return int.__and__(self.flags, _DISABLED_OR_GONE) != 0

    @property
    def is_optimized(self) -> bool:
        """``kprobe_optimized()``: it is a jump, or waits to become one."""
        return int.__and__(self.flags, _OPTIMIZED) != 0

    def save(self) -> _State:
        """A copy of what registration and hits change."""
        children = tuple(self.children or ())
        return _State(
            self.addr, self.flags, self.nmissed, self.opcode, self.ainsn, children, self.post_handler, self.optinsn
        )

    def restore(self, state: _State) -> None:
        """Go back to what `save` returned."""
        self.addr, self.flags, self.nmissed, self.opcode, self.ainsn, children, self.post_handler, self.optinsn = state
        if self.children is not None:
            self.children = list(children)

    def remains(self) -> Kprobe:
        """What a CPU needs to finish the step when the probe is removed meanwhile: the way back, no handlers."""
        remains = Kprobe(address=self.addr, name=self.name)
        remains.addr, remains.opcode, remains.ainsn = self.addr, self.opcode, self.ainsn
        return remains

    def forget(self) -> None:
        """Be as before registration."""
        self.addr, self.flags, self.opcode, self.ainsn = None, KprobeFlag(0), 0, None


Outer = tuple[Kprobe | None, KprobeStatus, int, int]
NOTHING_BEFORE: Final[Outer] = (None, KprobeStatus.NONE, 0, 0)


@dataclass(slots=True)
class KprobeCtlblk:
    """``struct kprobe_ctlblk``, one for each CPU, with the per-CPU ``current_kprobe`` beside it.

    Attributes:
        current: the probe being handled.
        status: how far.
        old_flags, saved_flags: the IF bit of the interrupted code.
        previous: the one outer probe that there can be: current, status, old_flags, saved_flags.
    """

    current: Kprobe | None = None
    status: KprobeStatus = KprobeStatus.NONE
    old_flags: int = 0
    saved_flags: int = 0
    previous: Outer = NOTHING_BEFORE

    @property
    def handled(self) -> tuple[Kprobe, ...]:
        """The probe that the CPU is at, and the one that it will come back to."""
        return tuple(probe for probe in (self.current, self.previous[0]) if probe is not None)

    def let_go(self, probe: Kprobe) -> None:
        """Let the CPU finish without a probe that is being removed."""
        if self.current is probe:
            self.current = probe.remains()
        if self.previous[0] is probe:
            self.previous = (probe.remains(), *self.previous[1:])
