"""The log: text, positions to cut it back to, and the state lines with their column rule.

Follows Linux kernel/bpf/log.c and, in kernel/bpf/verifier.c, print_verifier_state, print_insn_state and verbose_linfo.
The text is the one of 6.1; other versions print other fields.
"""

from collections.abc import Callable

from kprobesim.bpf.verifier.reg import (
    S32_MAX,
    S32_MIN,
    S64_MAX,
    S64_MIN,
    U32_MAX,
    U64_MAX,
    Reg,
    s32,
    s64,
)
from kprobesim.bpf.verifier.reg_type import (
    CONST_PTR_TO_MAP,
    NOT_INIT,
    PTR_TO_BTF_ID,
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_STACK,
    REFCOUNTED_OR_NULL,
    SCALAR_VALUE,
    base_type,
    reg_type_str,
    type_is_pkt_pointer,
)
from kprobesim.bpf.verifier.state import DONE, READ, SLOT0, WRITTEN, Frame, is_spilled
from kprobesim.bpf.verifier.tnum import UNKNOWN

__all__ = ["LEVEL1", "LEVEL2", "STATS", "Log", "reg_text", "slot_text", "state_text"]

LEVEL1, LEVEL2, STATS = 1, 2, 4
_LEVELS = LEVEL1 | LEVEL2
_LONGEST_WRITE = 1023
_EMPTY = bytes(8)
_KIND_CHARS = bytes.maketrans(bytes(range(5)), b"?rm0d")
_LIVENESS = tuple(
    ("_" if live & (READ | WRITTEN | DONE) else "")
    + ("r" if live & READ else "")
    + ("w" if live & WRITTEN else "")
    + ("D" if live & DONE else "")
    for live in range(16)
)


def _number_fields(reg: Reg) -> list[str]:
    if reg.var_off.is_const:
        return [f"imm={reg.var_off.value:x}"]
    fields = []
    if reg.smin & U64_MAX != reg.umin and reg.smin != S64_MIN:
        fields.append(f"smin={reg.smin}")
    if reg.smax & U64_MAX != reg.umax and reg.smax != S64_MAX:
        fields.append(f"smax={reg.smax}")
    if reg.umin:
        fields.append(f"umin={reg.umin}")
    if reg.umax != U64_MAX:
        fields.append(f"umax={reg.umax}")
    if reg.var_off != UNKNOWN:
        fields.append(f"var_off={reg.var_off}")
    if reg.s32_min not in (reg.smin, S32_MIN):
        fields.append(f"s32_min={reg.s32_min}")
    if reg.s32_max not in (reg.smax, S32_MAX):
        fields.append(f"s32_max={reg.s32_max}")
    if reg.u32_min not in (reg.umin, 0):
        fields.append(f"u32_min={s32(reg.u32_min)}")
    if reg.u32_max not in (reg.umax, U32_MAX):
        fields.append(f"u32_max={s32(reg.u32_max)}")
    return fields


def reg_text(reg: Reg) -> str:
    """A register's value as the log shows it: ``P7``, ``fp-8``, ``map_value(off=0,ks=4,vs=8,imm=0)``."""
    text = reg._text
    if text is None:
        text = reg._text = _reg_text(reg)
    return text


def _reg_text(reg: Reg) -> str:
    kind = reg.type
    precise = "P" if kind == SCALAR_VALUE and reg.precise else ""
    if kind in (SCALAR_VALUE, PTR_TO_STACK) and reg.var_off.is_const:
        name = "" if kind == SCALAR_VALUE else reg_type_str(kind)
        return f"{precise}{name}{s64(reg.var_off.value + reg.off)}"
    base = base_type(kind)
    name = reg_type_str(kind)
    if base == PTR_TO_BTF_ID:
        name += reg.btf
    fields = []
    if reg.id:
        fields.append(f"id={reg.id}")
    if base in REFCOUNTED_OR_NULL and reg.ref_obj_id:
        fields.append(f"ref_obj_id={reg.ref_obj_id}")
    if kind != SCALAR_VALUE:
        fields.append(f"off={reg.off}")
    if type_is_pkt_pointer(kind):
        fields.append(f"r={reg.extent}")
    elif base in (CONST_PTR_TO_MAP, PTR_TO_MAP_KEY, PTR_TO_MAP_VALUE) and reg.map is not None:
        fields.append(f"ks={reg.map.key_size},vs={reg.map.value_size}")
    fields += _number_fields(reg)
    return f"{precise}{name}({','.join(fields)})"


def _kinds_text(kinds: bytes) -> str:
    return kinds.translate(_KIND_CHARS).decode()


_FULLY = {bytes([kind]) * 8: _kinds_text(bytes([kind]) * 8) for kind in range(5)}
_REGISTERS = tuple(tuple(f" R{i}{live}=" for live in _LIVENESS) for i in range(SLOT0))
_SLOTS = tuple(tuple(f" fp{-8 * (i + 1)}{live}=" for live in _LIVENESS) for i in range(64))


def slot_text(reg: Reg, kinds: bytes) -> str:
    """A stack slot's value as the log shows it: the type of what is spilled there, or the kinds of its bytes."""
    if not is_spilled(kinds):
        return _FULLY.get(kinds) or _kinds_text(kinds)
    if reg.type != SCALAR_VALUE:
        return reg_type_str(reg.type)
    if reg.var_off.is_const:
        return reg_text(reg)
    return "P" if reg.precise else ""


def state_text(frame: Frame, regs: int = -1, slots: int = -1) -> str:
    """The line that shows a frame, without its newline.

    Args:
        frame: what to show.
        regs: bit mask of the registers to show.
        slots: bit mask of the stack slots to show.
    """
    parts = [f" frame{frame.frameno}:"] if frame.frameno else []
    values, live = frame.values, frame.live
    for i in range(SLOT0):
        if regs >> i & 1:
            reg = values[i]
            if reg.type != NOT_INIT:
                parts.append(_REGISTERS[i][live[i]] + (reg._text or reg_text(reg)))
    if slots:
        for i, kinds in enumerate(frame.kinds):
            if slots >> i & 1 and kinds != _EMPTY:
                place = SLOT0 + i
                parts.append(_SLOTS[i][live[place]] + slot_text(values[place], kinds))
    if frame.refs and frame.refs[0].id:
        parts.append(f" refs={','.join(str(ref.id) for ref in frame.refs if ref.id)}")
    if frame.in_callback:
        parts.append(" cb")
    if frame.in_async_callback:
        parts.append(" async_cb")
    return "".join(parts)


class Log:
    """Text of limited size that can be cut back.

    Args:
        level: LEVEL1, LEVEL2 and STATS bits; 0 for no log at all.
        size: bytes of the user's buffer; a log that fills it makes the load fail with ENOSPC.
        line_of: the source line of an instruction, and its number, or None; printed before it when it changes.
    """

    def __init__(
        self, level: int, size: int, line_of: Callable[[int], tuple[int, str] | None] = lambda insn: None
    ) -> None:
        self.level = level
        self.on = bool(level)
        self.per_insn = bool(level & _LEVELS)
        self.deep = bool(level & LEVEL2)
        self.size = size
        self.length = 0
        self._most = size - 1 if level else 0
        self._parts: list[str] = []
        self._line_of = line_of
        self._last_line = -1
        self.scratched_regs = self.scratched_slots = 0
        self._before_state = 0
        self._insn_width = 0

    def write(self, text: str) -> None:
        """Append; what does not fit is cut off."""
        room = self._most - self.length
        if room <= 0:
            return
        size = len(text)
        if size > room:
            text, size = text[:room], room
        self._parts.append(text)
        self.length += size

    def cut(self, length: int) -> None:
        """Back to an earlier length (Linux's bpf_vlog_reset); a full log stays as it is."""
        if not self.on or self.full:
            return
        parts = self._parts
        while self.length > length:
            last = parts.pop()
            self.length -= len(last)
            if self.length < length:
                parts.append(last[: length - self.length])
                self.length = length

    @property
    def full(self) -> bool:
        """Whether the buffer is used up."""
        return self.length >= self.size - 1

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._parts)

    def forget_line(self) -> None:
        """Print the next source line even if it is the last one printed."""
        self._last_line = -1

    def source_line(self, insn: int, prefix: str) -> None:
        """The source line of an instruction, unless it was the last one printed (Linux's verbose_linfo)."""
        found = self._line_of(insn) if self.on else None
        if found is not None and found[0] != self._last_line:
            self.write(prefix)
            self.write(f"{found[1].lstrip()}\n"[:_LONGEST_WRITE])
            self._last_line = found[0]

    def all_scratched(self) -> None:
        """Show everything in the next state line."""
        self.scratched_regs = self.scratched_slots = -1

    def state(self, frame: Frame) -> None:
        """The whole frame on a line."""
        if self.on:
            self.write(f"{state_text(frame)}\n")

    def insn(self, index: int, text: str) -> None:
        """An instruction's line."""
        start = self.length
        self.write(f"{index}: {text}\n")
        self._insn_width = self.length - start
        self._before_state = self.length

    def insn_state(self, index: int, frame: Frame) -> None:
        """What changed: beside the instruction if nothing was logged since, else on a line of its own."""
        if self._before_state and self._before_state == self.length:
            self.cut(self._before_state - 1)
            width = self._insn_width
            column = (max(width + 4, 40) + 7) // 8 * 8
            start = f"{'':{column - width - 1}};"
        else:
            start = f"{index}:"
        self.write(f"{start}{state_text(frame, self.scratched_regs, self.scratched_slots)}\n")
        self.scratched_regs = self.scratched_slots = 0
