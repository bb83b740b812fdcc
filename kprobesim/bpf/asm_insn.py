"""The assembler's reading of one instruction."""

import re
from dataclasses import dataclass

from kprobesim.bpf.asm_line import Line, near, register
from kprobesim.bpf.helper_names import HELPER_IDS, HELPER_NAMES
from kprobesim.bpf.isa import (
    ALU_OPS,
    ATOMIC_OPS,
    JMP_OPS,
    LDDW,
    MASK32,
    MASK64,
    SIZE_NAMES,
    Class,
    Insn,
    Level,
    Mode,
    Op,
    Pseudo,
    lddw,
)
from kprobesim.bpf.variants import find

__all__ = ["Fixup", "InsnReader"]

_ALU_SIGNS = {sign: number << 4 for number, sign in enumerate(ALU_OPS) if sign not in (None, "neg", "endian")}
_JMP_SIGNS = {sign: number << 4 for number, sign in enumerate(JMP_OPS) if sign not in (None, "jmp", "call", "exit")}
_SIZES = {name: size for size, name in SIZE_NAMES.items()}
_ATOMIC_IMMS = {name: imm for imm, name in ATOMIC_OPS.items()}


@dataclass(frozen=True, slots=True)
class Fixup:
    """A name in the text, to be replaced by a number when all lines are read.

    Args:
        kind: ``label`` of a jump, ``call`` of a function, ``map``.
        slot: of the instruction that names it.
        field: ``off`` or ``imm``.
        name: what is named.
        line: where.
        column: where in the line, from 1.
    """

    kind: str
    slot: int
    field: str
    name: str
    line: Line
    column: int


class InsnReader:
    """Reads instructions and remembers, in ``fixups``, the names in them."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self.fixups: list[Fixup] = []
        self._slot = 0
        self._opcode: int | None = None

    def read(self, line: Line, slot: int) -> list[Insn]:
        """The one or two slots that the rest of ``line`` means; ``slot`` is the number of the first."""
        self._slot = slot
        self._opcode = self._binding(line)
        start = line.peek.column
        insns = self._statement(line)
        line.finish()
        insn = insns[0]
        if self._opcode not in (None, insn.code):
            raise line.error(f"this is instruction {insn.code:02x}, but the line says {self._opcode:02x}", column=start)
        if find(insn, self.level) is None:
            newer = "It arrived with ISA level v4 (Linux 6.6)." if find(insn, Level.V4) else ""
            raise line.error(f"there is no such instruction at ISA level v{self.level}", column=start, hint=newer)
        return insns

    def _binding(self, line: Line) -> int | None:
        """The opcode in brackets that a dump puts before an instruction, such as ``(b7)``."""
        match = re.match(r"\(([0-9a-fA-F]{2})\)\s", line.text[line.peek.column - 1 :])
        if match is None:
            return None
        start = line.peek.column
        while line.peek.column < start + 4 and line.peek.kind != "end":
            line.next()
        return int(match[1], 16)

    def _statement(self, line: Line) -> list[Insn]:
        token = line.peek
        if token.text == "*":
            return [self._store(line)]
        if token.text == "lock":
            return [self._lock(line)]
        if token.kind == "word":
            keyword = {"goto": self._goto, "gotol": self._goto, "if": self._if, "call": self._call, "exit": self._exit}
            if token.text in keyword:
                line.next()
                return [keyword[token.text](line)]
            if register(token.text):
                return self._assign(line)
            raise line.error(
                f"{token.text!r} is no instruction",
                expected="a register, '*(', lock, if, goto, call or exit",
                hint=near(token.text, (*keyword, "lock", "r0", "w0")),
            )
        raise line.misfit("a register, '*(', lock, if, goto, call or exit")

    def _reg(self, line: Line, letter: str = "") -> tuple[str, int]:
        token = line.peek
        found = register(token.text) if token.kind == "word" else None
        if found is None:
            raise line.misfit(f"{letter or 'r'}0 to {letter or 'r'}10")
        if letter and found[0] != letter:
            raise line.error(
                f"{token.text} is {32 if found[0] == 'w' else 64} bits wide here", expected=f"{letter}{found[1]}"
            )
        line.next()
        return found

    def _imm32(self, line: Line, *, wrap: bool) -> int:
        """A 32-bit immediate; ``wrap`` takes 0xffffffff for -1."""
        token = line.peek
        value = line.integer("a register or a number")
        top = MASK32 if wrap else MASK32 >> 1
        if not -(1 << 31) <= value <= top:
            raise line.error(
                f"{value:#x} does not fit a signed 32-bit immediate",
                column=token.column,
                hint="It would be sign-extended to 64 bits; load it into a register first.",
            )
        return value - (1 << 32) if value > MASK32 >> 1 else value

    def _place(self, line: Line, *, atomic: bool = False, signed: bool = False) -> tuple[str, int, int]:
        """``(u64 *)(r10 -8)``: size name, register, offset."""
        line.need("(")
        size = line.word("u8, u16, u32 or u64")
        names = ("u32", "u64") if atomic else (*_SIZES, "s8", "s16", "s32") if signed else tuple(_SIZES)
        if size.text not in names:
            expected = " or ".join(names)
            raise line.error(
                f"{size.text!r} is no size here", column=size.column, expected=expected, hint=near(size.text, names)
            )
        line.need("*", ")", "(")
        _, register = self._reg(line, "r")
        off = 0
        if line.peek.text in ("+", "-"):
            token = line.peek
            off = line.integer("an offset")
            if not -(1 << 15) <= off < 1 << 15:
                raise line.error(f"offset {off} does not fit 16 bits", column=token.column)
        line.need(")")
        return size.text, register, off

    def _store(self, line: Line) -> Insn:
        line.need("*")
        size, dst, off = self._place(line)
        line.need("=")
        if register(line.peek.text):
            return Insn(Class.STX | Mode.MEM | _SIZES[size], dst, self._reg(line, "r")[1], off)
        return Insn(Class.ST | Mode.MEM | _SIZES[size], dst, 0, off, self._imm32(line, wrap=size != "u64"))

    def _lock(self, line: Line) -> Insn:
        line.need("lock", "*")
        size, dst, off = self._place(line, atomic=True)
        sign = line.next()
        if sign.text not in ("+=", "|=", "&=", "^="):
            raise line.error(f"{sign.text!r} is no atomic operation", column=sign.column, expected="+=, |=, &= or ^=")
        return Insn(Class.STX | Mode.ATOMIC | _SIZES[size], dst, self._reg(line, "r")[1], off, _ALU_SIGNS[sign.text])

    def _atomic(self, line: Line, dst: int) -> Insn:
        """``r1 = atomic64_fetch_add((u64 *)(r10 -8), r1)``; ``dst`` is the register on the left."""
        name = line.next()
        match = re.fullmatch(r"atomic(64)?_(\w+)", name.text)
        operations = [operation for imm, operation in ATOMIC_OPS.items() if imm & 1]
        if match is None or match[2] not in operations:
            names = [f"atomic{width}_{operation}" for width in ("", "64") for operation in operations]
            raise line.error(f"there is no {name.text!r}", column=name.column, hint=near(name.text, names))
        line.need("(")
        size, base, off = self._place(line, atomic=True)
        if (size == "u64") != bool(match[1]):
            raise line.error(f"{name.text} does not go with {size}", column=name.column)
        if match[2] == "cmpxchg":
            line.need(",", "r0")
            if dst:
                raise line.error("the old value of cmpxchg goes to r0", column=1, expected="r0 =")
        line.need(",")
        token = line.peek
        _, src = self._reg(line, "r")
        if match[2] != "cmpxchg" and src != dst:
            raise line.error(
                f"the old value goes to the operand's register, r{src}", column=token.column, expected=f"r{dst}"
            )
        line.need(")")
        return Insn(Class.STX | Mode.ATOMIC | _SIZES[size], base, src, off, _ATOMIC_IMMS[match[2]])

    def _assign(self, line: Line) -> list[Insn]:
        letter, dst = self._reg(line)
        cls = Class.ALU64 if letter == "r" else Class.ALU
        sign = line.next()
        signed = sign.text in ("s/=", "s%=")
        operation = _ALU_SIGNS.get(sign.text[1:] if signed else sign.text)
        if operation is None:
            raise line.error(
                f"{sign.text!r} is no operation" if sign.text else "the line ends too early",
                column=sign.column,
                expected=" ".join(_ALU_SIGNS),
            )
        if sign.text == "=":
            return self._move(line, letter, dst, cls)
        if register(line.peek.text):
            return [Insn(cls | operation | 8, dst, self._reg(line, letter)[1], int(signed))]
        return [Insn(cls | operation, dst, 0, int(signed), self._imm32(line, wrap=letter == "w"))]

    def _move(self, line: Line, letter: str, dst: int, cls: Class) -> list[Insn]:
        token = line.peek
        if token.text == "*" and letter == "r":
            return [self._load(line, dst)]
        if token.text == "-" and line.ahead(1).kind == "word":
            line.next()
            if self._reg(line, letter)[1] != dst:
                raise line.error("negation is of a register by itself", column=token.column, expected=f"-{letter}{dst}")
            return [Insn(cls | Op.NEG, dst)]
        if token.text == "(":
            line.next()
            width = line.word("s8, s16 or s32")
            if width.text not in ("s8", "s16", "s32"):
                raise line.error(f"{width.text!r} is no signed size", column=width.column, expected="s8, s16 or s32")
            line.need(")")
            return [Insn(cls | Op.MOV | 8, dst, self._reg(line, letter)[1], int(width.text[1:]))]
        if token.kind == "word":
            if register(token.text):
                return [Insn(cls | Op.MOV | 8, dst, self._reg(line, letter)[1])]
            if letter == "r":
                return self._named(line, dst)
            raise line.error(f"{token.text!r} is no operand", expected="a register or a number")
        return self._constant(line, letter, dst, cls)

    def _load(self, line: Line, dst: int) -> Insn:
        line.need("*")
        if line.ahead(4).text == "skb":
            line.need("(")
            size = line.word("u8, u16 or u32").text
            line.need("*", ")", "skb", "[")
            src = 0
            mode = Mode.ABS
            if register(line.peek.text):
                src, mode = self._reg(line, "r")[1], Mode.IND
                line.need("+")
            imm = self._imm32(line, wrap=True)
            line.need("]")
            if size not in _SIZES or dst:
                raise line.error("a packet load is of u8, u16 or u32 into r0", column=1)
            return Insn(Class.LD | mode | _SIZES[size], 0, src, 0, imm)
        size, base, off = self._place(line, signed=True)
        mode = Mode.MEMSX if size.startswith("s") else Mode.MEM
        return Insn(Class.LDX | mode | _SIZES[size.replace("s", "u")], dst, base, off)

    def _named(self, line: Line, dst: int) -> list[Insn]:
        """What a register is set to by name: an atomic, a byte swap, a map, a pseudo value."""
        token = line.peek
        swap = re.fullmatch(r"(le|be|bswap)([0-9]+)", token.text)
        if swap:
            line.next()
            if swap[2] not in ("16", "32", "64"):
                raise line.error(f"{swap[2]} is no width of a byte swap", column=token.column, expected="16, 32 or 64")
            if self._reg(line, "r")[1] != dst:
                raise line.error("a byte swap is of a register by itself", column=token.column, expected=f"r{dst}")
            return [Insn({"le": 0xD4, "be": 0xDC, "bswap": 0xD7}[swap[1]], dst, 0, 0, int(swap[2]))]
        if token.text.startswith("atomic"):
            return [self._atomic(line, dst)]
        if token.text in ("map", "btf", "func"):
            line.next()
            return self._pseudo(line, dst, token.text)
        raise line.error(
            f"{token.text!r} is no operand",
            expected="a register, a number, '*(', map[..], an atomic or a byte swap",
            hint=near(token.text, ("map", "be16", "le16", "bswap16", "r0")),
        )

    def _pseudo(self, line: Line, dst: int, kind: str) -> list[Insn]:
        if kind == "map" and line.peek.kind == "word":
            return self._map_by_name(line, dst)
        if kind == "func" and line.peek.kind == "word":
            name = line.word("a label")
            self.fixups.append(Fixup("func", self._slot, "imm", name.text, line, name.column))
            return list(lddw(dst, 0, Pseudo.FUNC))
        line.need("[")
        if kind == "func":
            line.need("pc")
            value, src = line.integer("a distance such as +4"), Pseudo.FUNC
            line.need("]")
            return list(lddw(dst, value & MASK32, src))
        if kind == "map" and line.ahead(1).text != ":":
            return self._map_by_name(line, dst, "]")
        label = line.word("fd: or idx:")
        wanted = ("id",) if kind == "btf" else ("fd", "idx")
        if label.text not in wanted:
            hint = "Ids are given by a running system; name the map instead." if label.text == "id" else ""
            raise line.error(
                f"{label.text!r} does not fit here", column=label.column, expected=" or ".join(wanted), hint=hint
            )
        line.need(":")
        low, high, src = self._imm32(line, wrap=True), 0, Pseudo.MAP_FD if label.text == "fd" else Pseudo.MAP_IDX
        line.need("]")
        if kind == "btf":
            src = Pseudo.BTF_ID
            line.need("[", "fd", ":")
            high = self._imm32(line, wrap=True)
            line.need("]")
        elif line.peek.text == "[":
            src = Pseudo.MAP_VALUE if src is Pseudo.MAP_FD else Pseudo.MAP_IDX_VALUE
            high = self._value_offset(line)
        return list(lddw(dst, (high & MASK32) << 32 | low & MASK32, src))

    def _value_offset(self, line: Line) -> int:
        """``[0]+8`` behind a map."""
        line.need("[", "0", "]")
        return self._imm32(line, wrap=True) if line.peek.text in ("+", "-") else 0

    def _map_by_name(self, line: Line, dst: int, close: str = "") -> list[Insn]:
        name = line.word("the name of a map")
        if close:
            line.need(close)
        src, high = Pseudo.MAP_IDX, 0
        if line.peek.text == "[":
            src, high = Pseudo.MAP_IDX_VALUE, self._value_offset(line)
        self.fixups.append(Fixup("map", self._slot, "imm", name.text, line, name.column))
        return list(lddw(dst, (high & MASK32) << 32, src))

    def _constant(self, line: Line, letter: str, dst: int, cls: Class) -> list[Insn]:
        token = line.peek
        value = line.integer("a register or a number")
        wide = line.take("ll") or self._opcode == LDDW
        if letter == "w":
            line.at = line.tokens.index(token)
            return [Insn(cls | Op.MOV, dst, 0, 0, self._imm32(line, wrap=True))]
        if not wide and -(1 << 31) <= value < 1 << 31:
            return [Insn(cls | Op.MOV, dst, 0, 0, value)]
        if not -(1 << 63) <= value <= MASK64:
            raise line.error(f"{value:#x} does not fit 64 bits", column=token.column)
        return list(lddw(dst, value & MASK64))

    def _target(self, line: Line, field: str) -> int:
        """A label, ``pc+3`` or ``+3``; labels are 0 until all lines are read."""
        if line.peek.text == "pc" and line.ahead(1).text in ("+", "-"):
            line.next()
        elif line.peek.kind == "word":
            label = line.next()
            self.fixups.append(Fixup("label", self._slot, field, label.text, line, label.column))
            return 0
        token = line.peek
        value = line.integer("a label or a distance such as pc+3")
        bits = 15 if field == "off" else 31
        if not -(1 << bits) <= value < 1 << bits:
            raise line.error(f"{value} does not fit {bits + 1} bits", column=token.column)
        return value

    def _goto(self, line: Line) -> Insn:
        if line.tokens[line.at - 1].text == "gotol":
            return Insn(0x06, imm=self._target(line, "imm"))
        return Insn(0x05, off=self._target(line, "off"))

    def _if(self, line: Line) -> Insn:
        letter, dst = self._reg(line)
        cls = Class.JMP if letter == "r" else Class.JMP32
        sign = line.next()
        if sign.text not in _JMP_SIGNS:
            raise line.error(f"{sign.text!r} is no comparison", column=sign.column, expected=" ".join(_JMP_SIGNS))
        if register(line.peek.text):
            insn = Insn(cls | _JMP_SIGNS[sign.text] | 8, dst, self._reg(line, letter)[1])
        else:
            # the kernel prints all immediates of jumps as unsigned hex
            hexadecimal = line.peek.text.lower().startswith("0x")
            insn = Insn(cls | _JMP_SIGNS[sign.text], dst, imm=self._imm32(line, wrap=letter == "w" or hexadecimal))
        line.need("goto")
        return insn._replace(off=self._target(line, "off"))

    def _call(self, line: Line) -> Insn:
        token = line.peek
        if token.text == "pc" or token.text in ("+", "-"):
            return Insn(0x85, src=1, imm=self._target(line, "imm"))
        if token.text == "kernel" and line.ahead(1).text == "-":
            line.need("kernel", "-", "function", "#")
            return Insn(0x85, src=2, imm=line.integer())
        line.take("#")
        if line.peek.kind == "num" or line.peek.text == "-":
            return Insn(0x85, imm=self._imm32(line, wrap=False))
        name = line.word("a helper's name, a label or pc+N").text
        short = name.removeprefix("bpf_")
        number = self._imm32(line, wrap=False) if line.take("#") else None
        if number is not None:
            if 0 <= number < len(HELPER_NAMES) and HELPER_NAMES[number] != short and name != "unknown":
                raise line.error(f"helper {number} is bpf_{HELPER_NAMES[number]}, not {name}", column=token.column)
            return Insn(0x85, imm=number)
        if short in HELPER_IDS and short != "unspec":
            return Insn(0x85, imm=HELPER_IDS[short])
        self.fixups.append(Fixup("call", self._slot, "imm", name, line, token.column))
        return Insn(0x85, src=1)

    def _exit(self, line: Line) -> Insn:
        return Insn(0x95)
