"""What each instruction does, written once, as lines of Python.

Both ways of running a program are made from these lines: the stepper turns each instruction into a small function over
a list of registers, the fast runner turns whole programs into functions over local variables. They differ only in how
they spell a register and a memory access, which is what Spelling says. Every line is built from decoded integers and
fixed text, so nothing that a program contains can become host code.

Follows RFC 9669 section 4 and 5 and Linux kernel/bpf/core.c:___bpf_prog_run. Registers hold unsigned 64-bit numbers.
"""

from collections.abc import Callable
from typing import Protocol

from kprobesim.bpf.errors import MemoryFault
from kprobesim.bpf.isa import ATOMIC_OPS, MASK32, MASK64, SIZE_BYTES, Class, Insn, Mode, Op

__all__ = ["CLOBBERED", "NAMES", "Spelling", "condition", "statements"]

CLOBBERED = 0xDEAD_BEEF_DEAD_BEEF
"""What R1 to R5 hold after a call. In Linux whatever was left there; the verifier forbids looking."""

_SIGN = {32: 1 << 31, 64: 1 << 63}
_MASK = {32: MASK32, 64: MASK64}


class Spelling(Protocol):
    """How a way of running programs spells registers and memory accesses."""

    def reg(self, number: int) -> str:
        """The register as an expression that can be assigned to."""
        ...

    def load(self, target: str, base: int, off: int, size: int) -> list[str]:
        """Lines that set ``target`` to the unsigned ``size`` bytes at register ``base`` + ``off``."""
        ...

    def probe(self, target: str, base: int, off: int, size: int) -> list[str]:
        """The same as a load, with 0 for memory that is not there."""
        ...

    def store(self, base: int, off: int, size: int, value: str) -> list[str]:
        """Lines that store ``value``, already cut to ``size`` bytes."""
        ...


def _signed(value: int, bits: int) -> int:
    return (value & _MASK[bits] ^ _SIGN[bits]) - _SIGN[bits]


def sdiv(dividend: int, divisor: int, bits: int) -> int:
    """Signed division that truncates; 0 for division by 0, and MIN / -1 is MIN."""
    a, b = _signed(dividend, bits), _signed(divisor, bits)
    if b == 0:
        return 0
    quotient = abs(a) // abs(b)
    return (quotient if (a < 0) == (b < 0) else -quotient) & _MASK[bits]


def smod(dividend: int, divisor: int, bits: int) -> int:
    """Signed remainder with the dividend's sign; the dividend for division by 0, and MIN % -1 is 0."""
    a, b = _signed(dividend, bits), _signed(divisor, bits)
    if b == 0:
        return a & _MASK[bits]
    rest = abs(a) % abs(b)
    return (-rest if a < 0 else rest) & _MASK[bits]


def swap(value: int, size: int) -> int:
    """The low ``size`` bytes in reverse order."""
    return int.from_bytes((value & (1 << 8 * size) - 1).to_bytes(size, "little"), "big")


def probe(read: Callable[[int, int], bytes], addr: int, size: int) -> int:
    """A load that gives 0 where nothing is, or where users' memory is (``bpf_probe_read_kernel_common``)."""
    try:
        return int.from_bytes(read(addr, size), "little")
    except MemoryFault:
        return 0


NAMES = {"probe": probe, "sdiv": sdiv, "smod": smod, "swap": swap}
"""Functions that the lines may call."""


def _extend(expression: str, bits: int, mask: int) -> str:
    """Sign-extend the low ``bits`` of an expression that has no others set."""
    sign = 1 << bits - 1
    return f"({expression} ^ {sign:#x}) - {sign:#x} & {mask:#x}"


def _alu(insn: Insn, spell: Spelling) -> list[str]:
    bits = 64 if insn.cls is Class.ALU64 else 32
    mask = _MASK[bits]
    m = f"{mask:#x}"
    d = spell.reg(insn.dst)
    op = Op(insn.op)
    if op is Op.END:
        if insn.cls is Class.ALU and not insn.by_reg:
            return [f"{d} &= {(1 << insn.imm) - 1:#x}"]
        return [f"{d} = swap({d}, {insn.imm // 8})"]
    if op is Op.NEG:
        return [f"{d} = -{d} & {m}"]
    if insn.by_reg:
        s = spell.reg(insn.src)
        cut = s if bits == 64 else f"({s} & {m})"
        count = f"({s} & {bits - 1})"
    else:
        s = cut = f"{insn.imm & mask:#x}"
        count = str(insn.imm & bits - 1)
    whole = d if bits == 64 else f"({d} & {m})"
    if op is Op.MOV:
        if insn.off:
            return [f"{d} = {_extend(f'({s} & {(1 << insn.off) - 1:#x})', insn.off, mask)}"]
        return [f"{d} = {cut}"]
    if op in (Op.DIV, Op.MOD) and insn.off:
        return [f"{d} = {'sdiv' if op is Op.DIV else 'smod'}({d}, {s}, {bits})"]
    if op is Op.DIV:
        return [f"{d} = {whole} // {cut} if {cut} else 0"]
    if op is Op.MOD:
        return [f"{d} = {whole} % {cut} if {cut} else {whole}"]
    if op is Op.RSH:
        return [f"{d} = {whole} >> {count}"]
    if op is Op.ARSH:
        sign = f"{_SIGN[bits]:#x}"
        return [f"{d} = ({whole} ^ {sign}) - {sign} >> {count} & {m}"]
    if op is Op.LSH:
        return [f"{d} = {d} << {count} & {m}"]
    if op in (Op.ADD, Op.SUB, Op.MUL) and not insn.by_reg:
        s = f"({insn.imm})"  # the small number: the same modulo 2**64, and faster than its 64-bit image
    sign = {Op.ADD: "+", Op.SUB: "-", Op.MUL: "*", Op.OR: "|", Op.AND: "&", Op.XOR: "^"}[op]
    return [f"{d} = ({d} {sign} {s}) & {m}"]


def condition(insn: Insn, spell: Spelling) -> str:
    """The expression that is true when the conditional jump ``insn`` is taken."""
    bits = 32 if insn.cls is Class.JMP32 else 64
    mask = _MASK[bits]
    d = spell.reg(insn.dst)
    s = spell.reg(insn.src) if insn.by_reg else f"{insn.imm & mask:#x}"
    if bits == 32:
        d = f"({d} & {mask:#x})"
        s = f"({s} & {mask:#x})" if insn.by_reg else s
    op = insn.op
    signs = {0x10: "==", 0x20: ">", 0x30: ">=", 0x40: "&", 0x50: "!=", 0xA0: "<", 0xB0: "<="}
    if op in signs:
        return f"{d} {signs[op]} {s}"
    sign = _SIGN[bits]  # flipping the sign bit turns signed order into unsigned order
    biased = f"({s} ^ {sign:#x})" if insn.by_reg else f"{insn.imm & mask ^ sign:#x}"
    return f"({d} ^ {sign:#x}) { {0x60: '>', 0x70: '>=', 0xC0: '<', 0xD0: '<='}[op] } {biased}"


def _atomic(insn: Insn, spell: Spelling) -> list[str]:
    size = SIZE_BYTES[insn.size]
    mask = f"{(1 << 8 * size) - 1:#x}"
    source = spell.reg(insn.src)
    cut = source if size == 8 else f"({source} & {mask})"
    name = ATOMIC_OPS[insn.imm]
    lines = spell.load("old", insn.dst, insn.off, size)
    if name == "cmpxchg":
        r0 = spell.reg(0)
        lines.append(f"if old == {r0 if size == 8 else f'{r0} & {mask}'}:")
        lines += [f"    {line}" for line in spell.store(insn.dst, insn.off, size, cut)]
        return [*lines, f"{r0} = old"]
    if name == "xchg":
        lines += spell.store(insn.dst, insn.off, size, cut)
        return [*lines, f"{source} = old"]
    kind = name.removeprefix("fetch_")
    sign = {"add": "+", "or": "|", "and": "&", "xor": "^"}[kind]
    lines += spell.store(insn.dst, insn.off, size, f"(old {sign} {source}) & {mask}")
    return [*lines, f"{source} = old"] if kind != name else lines


def statements(insn: Insn, spell: Spelling, value: int = 0) -> list[str]:
    """The lines of an instruction that is neither jump nor call nor exit.

    Args:
        insn: the instruction, valid at level V4.
        spell: how to spell registers and memory.
        value: for an LDDW, its unsigned 64-bit value.
    """
    cls = insn.cls
    if cls in (Class.ALU, Class.ALU64):
        return _alu(insn, spell)
    if cls is Class.LD:
        return [f"{spell.reg(insn.dst)} = {value:#x}"]
    size = SIZE_BYTES[insn.size]
    if cls is Class.LDX:
        target = spell.reg(insn.dst)
        if insn.mode == Mode.PROBE_MEM:
            return spell.probe(target, insn.src, insn.off, size)
        if insn.mode != Mode.MEMSX:
            return spell.load(target, insn.src, insn.off, size)
        return [*spell.load("old", insn.src, insn.off, size), f"{target} = {_extend('old', 8 * size, MASK64)}"]
    mask = (1 << 8 * size) - 1
    if cls is Class.ST:
        return spell.store(insn.dst, insn.off, size, f"{insn.imm & mask:#x}")
    if insn.mode == Mode.ATOMIC:
        return _atomic(insn, spell)
    source = spell.reg(insn.src)
    return spell.store(insn.dst, insn.off, size, source if size == 8 else f"{source} & {mask:#x}")
