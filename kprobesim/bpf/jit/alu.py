"""Arithmetic: instruction in, x86 bytes out.

Follows Linux arch/x86/net/bpf_jit_comp.c:do_jit, its cases of classes ALU and ALU64. 32-bit operations clear the upper
half by themselves, as the processor does; that is why no extra instruction does it.
"""

from collections.abc import Callable

from kprobesim.bpf.isa import MASK32, Class, Insn, Op
from kprobesim.bpf.jit.encoding import byte, dword, emit_mov, is_imm8, op_digit, op_reg_reg, rex
from kprobesim.bpf.jit.registers import AUX_REG, RCX, RDX, REG2HEX

__all__ = [
    "ALU_EMITTERS",
    "divide",
    "emit_bswap",
    "emit_mov_imm32",
    "emit_mov_imm64",
    "emit_mov_reg",
    "opcode_of",
]

_SIMPLE = {Op.ADD: 0x01, Op.SUB: 0x29, Op.AND: 0x21, Op.OR: 0x09, Op.XOR: 0x31}
_DIGITS = {Op.ADD: 0, Op.OR: 1, Op.AND: 4, Op.SUB: 5, Op.XOR: 6}
_SHIFT_DIGITS = {Op.LSH: 4, Op.RSH: 5, Op.ARSH: 7}
_PUSH_RAX, _PUSH_RCX, _PUSH_RDX = b"\x50", b"\x51", b"\x52"
_POP_RAX, _POP_RCX, _POP_RDX = b"\x58", b"\x59", b"\x5a"
_XOR_EDX_EDX = b"\x31\xd2"


def opcode_of(op: int) -> bytes:
    """x86 opcode of ``op %reg,r/m`` for ADD, SUB, AND, OR and XOR."""
    return bytes((_SIMPLE[Op(op)],))


def _is64(insn: Insn) -> bool:
    return insn.cls is Class.ALU64


def emit_mov_imm32(dst: int, imm: int, *, sign_propagate: bool) -> bytes:
    """The shortest load of a constant: xor for 0, 32 bits where zero-extending does, else 32 sign-extended bits."""
    imm &= MASK32
    if sign_propagate and imm >> 31:
        return op_digit(0xC7, 0, dst, True) + dword(imm)
    if imm == 0:
        return op_reg_reg(b"\x31", dst, dst, False)
    return rex(False, 0, dst) + bytes((0xB8 + (REG2HEX[dst] & 7),)) + dword(imm)


def emit_mov_imm64(dst: int, value: int) -> bytes:
    """A 64-bit constant: as a 32-bit one if its upper half is 0, else movabs."""
    if value >> 32 == 0:
        return emit_mov_imm32(dst, value, sign_propagate=False)
    return rex(True, 0, dst) + bytes((0xB8 + (REG2HEX[dst] & 7),)) + value.to_bytes(8, "little")


def emit_mov_reg(dst: int, src: int, is64: bool) -> bytes:
    """A move; the 32-bit one is never left out, not even from a register to itself: it clears the upper half."""
    return emit_mov(dst, src) if is64 else op_reg_reg(b"\x89", src, dst, False)


def _mov_reg(insn: Insn) -> bytes:
    return emit_mov_reg(insn.dst, insn.src, _is64(insn))


def _mov_imm(insn: Insn) -> bytes:
    return emit_mov_imm32(insn.dst, insn.imm, sign_propagate=_is64(insn))


def _alu_reg(insn: Insn) -> bytes:
    return op_reg_reg(opcode_of(insn.op), insn.src, insn.dst, _is64(insn))


def _alu_imm(insn: Insn) -> bytes:
    digit = _DIGITS[Op(insn.op)]
    if is_imm8(insn.imm):
        return op_digit(0x83, digit, insn.dst, _is64(insn)) + byte(insn.imm)
    if insn.dst == 0:
        # rax has a form of its own that is one byte shorter.
        return rex(_is64(insn), 0, 0) + bytes((digit << 3 | 0x05,)) + dword(insn.imm)
    return op_digit(0x81, digit, insn.dst, _is64(insn)) + dword(insn.imm)


def _neg(insn: Insn) -> bytes:
    return op_digit(0xF7, 3, insn.dst, _is64(insn))


def _mul_imm(insn: Insn) -> bytes:
    if is_imm8(insn.imm):
        return op_reg_reg(b"\x6b", insn.dst, insn.dst, _is64(insn)) + byte(insn.imm)
    return op_reg_reg(b"\x69", insn.dst, insn.dst, _is64(insn)) + dword(insn.imm)


def _mul_reg(insn: Insn) -> bytes:
    return op_reg_reg(b"\x0f\xaf", insn.dst, insn.src, _is64(insn))


def divide(insn: Insn, extend: bytes, digit: int) -> bytes:
    """Division and remainder: rax and rdx are saved around ``extend`` and the divide instruction with this digit.

    Args:
        insn: DIV or MOD, of either class and source.
        extend: what makes rdx the dividend's upper half.
        digit: 6 for div, 7 for idiv.
    """
    is64, dst, divisor = _is64(insn), insn.dst, insn.src
    code = bytearray()
    if dst != 0:
        code += _PUSH_RAX
    if dst != RDX:
        code += _PUSH_RDX
    if not insn.by_reg:
        code += op_digit(0xC7, 0, AUX_REG, True) + dword(insn.imm)
        divisor = AUX_REG
    elif divisor in (0, RDX):
        code += emit_mov(AUX_REG, divisor)
        divisor = AUX_REG
    if dst != 0:
        code += emit_mov_reg(0, dst, is64)
    code += extend
    code += op_digit(0xF7, digit, divisor, is64)
    result = RDX if insn.op == Op.MOD else 0
    if dst != result:
        code += emit_mov_reg(dst, result, is64)
    if dst != RDX:
        code += _POP_RDX
    if dst != 0:
        code += _POP_RAX
    return bytes(code)


def _div_mod(insn: Insn) -> bytes:
    return divide(insn, _XOR_EDX_EDX, 6)


def _shift_imm(insn: Insn) -> bytes:
    digit = _SHIFT_DIGITS[Op(insn.op)]
    if insn.imm == 1:
        return op_digit(0xD1, digit, insn.dst, _is64(insn))
    return op_digit(0xC1, digit, insn.dst, _is64(insn)) + byte(insn.imm)


def _shift_reg(insn: Insn) -> bytes:
    """The count must be in cl: rcx is saved around it, and if rcx itself is shifted, that happens in r11."""
    dst, src = insn.dst, insn.src
    code = bytearray()
    if dst == RCX:
        code += emit_mov(AUX_REG, dst)
        dst = AUX_REG
    if src != RCX:
        code += _PUSH_RCX + emit_mov(RCX, src)
    code += op_digit(0xD3, _SHIFT_DIGITS[Op(insn.op)], dst, _is64(insn))
    if src != RCX:
        code += _POP_RCX
    if insn.dst == RCX:
        code += emit_mov(RCX, AUX_REG)
    return bytes(code)


def _movzx16(reg: int) -> bytes:
    return op_reg_reg(b"\x0f\xb7", reg, reg, False)


def emit_bswap(insn: Insn) -> bytes:
    """Bytes in reverse order: ror and movzx for 16 bits, bswap for 32 and 64."""
    if insn.imm == 16:
        rotate = b"\x66" + op_digit(0xC1, 1, insn.dst, False) + b"\x08"
        return rotate + _movzx16(insn.dst)
    return rex(insn.imm == 64, 0, insn.dst) + bytes((0x0F, 0xC8 + (REG2HEX[insn.dst] & 7)))


def _to_little_endian(insn: Insn) -> bytes:
    """The order is right already, so only the upper bits go; 64 bits need no instruction at all."""
    if insn.imm == 16:
        return _movzx16(insn.dst)
    return op_reg_reg(b"\x89", insn.dst, insn.dst, False) if insn.imm == 32 else b""


def _table() -> dict[int, Callable[[Insn], bytes]]:
    table: dict[int, Callable[[Insn], bytes]] = {
        Class.ALU | Op.END: _to_little_endian,
        Class.ALU | Op.END | 8: emit_bswap,
    }
    by_operation = {
        **dict.fromkeys(_SIMPLE, (_alu_imm, _alu_reg)),
        **dict.fromkeys(_SHIFT_DIGITS, (_shift_imm, _shift_reg)),
        **dict.fromkeys((Op.DIV, Op.MOD), (_div_mod, _div_mod)),
        Op.MUL: (_mul_imm, _mul_reg),
        Op.MOV: (_mov_imm, _mov_reg),
    }
    for cls in (Class.ALU, Class.ALU64):
        table[cls | Op.NEG] = _neg
        for op, (by_imm, by_reg) in by_operation.items():
            table[cls | op] = by_imm
            table[cls | op | 8] = by_reg
    return table


ALU_EMITTERS = _table()
"""Opcode -> emitter, for arithmetic of ISA v1 to v3."""
