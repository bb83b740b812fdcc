"""An instruction's text in AT&T syntax, the way GNU objdump prints it.

capstone's own AT&T text is LLVM's: every mnemonic has a size suffix, numbers are decimal below ten and negative
instead of masked. Readers who hold a lesson against ``objdump -d`` should find the same words.
"""

from typing import Any

from kprobesim.image.encoding import MASK, Encoding, OpcodeMap

__all__ = ["render"]

REGISTER, IMMEDIATE, MEMORY = 1, 2, 3

FIXED = {
    "callq": "call",
    "iretl": "iret",
    "jmpq": "jmp",
    "lcalll": "lcall",
    "lgdtq": "lgdt",
    "lidtq": "lidt",
    "ljmpl": "ljmp",
    "lldtw": "lldt",
    "lretl": "lret",
    "ltrw": "ltr",
    "popfq": "popf",
    "popq": "pop",
    "pushfq": "pushf",
    "pushq": "push",
    "retq": "ret",
    "sgdtq": "sgdt",
    "sidtq": "sidt",
}
STRING_OPCODES = frozenset({0x6C, 0x6D, 0x6E, 0x6F, *range(0xA4, 0xA8), *range(0xAA, 0xB0)})
SUFFIXLESS_STRINGS = ("stos", "lods", "scas")
IGNORED_SEGMENTS = {0x26: "es", 0x2E: "cs", 0x36: "ss", 0x3E: "ds"}
SHIFTS_BY_ONE = (0xD0, 0xD1)
SHIFTS_BY_IMMEDIATE = (0xC0, 0xC1)
SHIFTS_BY_CL = (0xD2, 0xD3)
IN_OUT_DX = frozenset({0x6C, 0x6D, 0x6E, 0x6F, 0xEC, 0xED, 0xEE, 0xEF})
STOS = (0xAA, 0xAB)
IMPLICIT_FIRST = (*SHIFTS_BY_CL, *STOS)
ACCUMULATORS = {1: "%al", 2: "%ax", 4: "%eax", 8: "%rax"}
REPEATS = {"repe": "repz", "repne": "repnz"}


def render(insn: Any, encoding: Encoding, symbolize: Any) -> tuple[str, str]:
    """The mnemonic and the operands of a capstone instruction that was decoded in AT&T syntax with details.

    Args:
        insn: a ``capstone.CsInsn``.
        encoding: the same instruction's parts.
        symbolize: an address's name, for branch targets and RIP-relative operands; or nothing.
    """
    one_byte = encoding.map is OpcodeMap.ONE_BYTE and not encoding.is_vex
    if one_byte and encoding.opcode == 0x90 and encoding.prefixes == b"\x66":
        return "xchg", "%ax,%ax"
    operands = list(insn.operands)
    if one_byte and encoding.opcode in SHIFTS_BY_ONE and operands and operands[0].type == IMMEDIATE:
        operands = operands[1:]
    mnemonic = _mnemonic(insn, encoding, operands, one_byte)
    if encoding.is_relative_branch:
        target = insn.address + encoding.size + _field(insn, encoding.immediate_offset, encoding.immediate_size) & MASK
        return mnemonic, f"{target:#x}{_name(target, symbolize)}"
    star = "*" if encoding.branch is not None and one_byte and encoding.opcode == 0xFF else ""
    texts = [_operand(insn, encoding, operand, one_byte) for operand in operands]
    if one_byte and len(texts) == 1 and encoding.opcode in IMPLICIT_FIRST:
        # capstone leaves these two kinds out of its list of operands, though not out of its text.
        texts.insert(0, "%cl" if encoding.opcode in SHIFTS_BY_CL else ACCUMULATORS[operands[0].size])
    if encoding.is_rip_relative and texts:
        target = insn.address + encoding.size + _field(insn, encoding.displacement_offset, 4) & MASK
        texts[-1] += f"        # {target:#x}{_name(target, symbolize)}"
    return mnemonic, star + ",".join(texts)


def _mnemonic(insn: Any, encoding: Encoding, operands: list[Any], one_byte: bool) -> str:
    *words, last = (REPEATS.get(word, word) for word in insn.mnemonic.split(" "))
    if last in FIXED:
        last = FIXED[last]
    elif one_byte and last[:-1] in SUFFIXLESS_STRINGS:
        last = last[:-1]
    elif last[-1] in "bwlq" and last[:-1] == insn.insn_name():
        # The suffix goes where a register tells the size; the count of a shift tells nothing.
        sized = operands[-1:] if one_byte and encoding.opcode in SHIFTS_BY_CL else operands
        if any(operand.type == REGISTER for operand in sized):
            last = last[:-1]
    # Prefixes that pad: every 66 after the first, and a segment that 64-bit mode ignores.
    padding = ["data16"] * (encoding.prefixes.count(0x66) - 1)
    if not (one_byte and encoding.opcode in STRING_OPCODES):
        padding += [IGNORED_SEGMENTS[byte] for byte in encoding.prefixes if byte in IGNORED_SEGMENTS]
    if encoding.branch is not None:
        padding = []
    return " ".join([*padding, *words, last])


def _operand(insn: Any, encoding: Encoding, operand: Any, one_byte: bool) -> str:
    if operand.type == REGISTER:
        name = f"%{insn.reg_name(operand.reg)}"
        return "(%dx)" if one_byte and encoding.opcode in IN_OUT_DX and name == "%dx" else name
    if operand.type == IMMEDIATE:
        size = 1 if one_byte and encoding.opcode in SHIFTS_BY_IMMEDIATE else operand.size or 8
        return f"${operand.imm & (1 << 8 * size) - 1:#x}"
    return _memory(insn, encoding, operand.mem, one_byte)


def _memory(insn: Any, encoding: Encoding, memory: Any, one_byte: bool) -> str:
    base = insn.reg_name(memory.base) if memory.base else ""
    index = insn.reg_name(memory.index) if memory.index else ""
    segment = insn.reg_name(memory.segment) if memory.segment else ""
    if one_byte and encoding.opcode in STRING_OPCODES:
        segment = "es" if base in ("rdi", "edi") else segment or "ds"
    elif segment in IGNORED_SEGMENTS.values():
        segment = ""
    text = f"%{segment}:" if segment else ""
    if encoding.displacement_size or not base:
        # Without a base the displacement is an address, and addresses are not negative.
        displacement = _field(insn, encoding.displacement_offset, encoding.displacement_size)
        text += f"{displacement if base or index else displacement & MASK:#x}"
    if index:
        text += f"({base and '%' + base},%{index},{memory.scale})"
    elif base:
        text += f"(%{base})"
    return text


def _field(insn: Any, offset: int, size: int) -> int:
    return int.from_bytes(insn.bytes[offset : offset + size], "little", signed=True)


def _name(address: int, symbolize: Any) -> str:
    name = symbolize(address) if symbolize else ""
    return f" <{name}>" if name and not name.startswith("0x") else ""
