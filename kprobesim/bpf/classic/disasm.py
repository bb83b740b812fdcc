"""Classic instructions as text: as ``tcpdump -d`` prints them, and as the kernel's bpf_asm reads them back.

Follows libpcap's bpf_image and Linux tools/bpf/bpf_dbg.c:bpf_disasm. Numbers are printed as those do: some as signed
decimals, some in hex.
"""

from collections.abc import Sequence

from kprobesim.bpf.classic.asm import EXTENSIONS
from kprobesim.bpf.classic.isa import Ancillary, Code, SockFilter, ancillary, signed32

__all__ = ["asm_listing", "image", "image_listing"]

_NAMES = {
    code: name.split("_", 1)[0].lower()
    for name, code in Code.__members__.items()
    if name.split("_", 1)[0] not in ("LD", "LDX")
}
_NAMES |= {
    Code.LD_W_ABS: "ld",
    Code.LD_H_ABS: "ldh",
    Code.LD_B_ABS: "ldb",
    Code.LD_W_IND: "ld",
    Code.LD_H_IND: "ldh",
    Code.LD_B_IND: "ldb",
    Code.LD_W_LEN: "ld",
    Code.LD_IMM: "ld",
    Code.LD_MEM: "ld",
    Code.LDX_W_LEN: "ldx",
    Code.LDX_B_MSH: "ldxb",
    Code.LDX_IMM: "ldx",
    Code.LDX_MEM: "ldx",
}
_IN_HEX = frozenset(
    {
        *(Code.LD_IMM, Code.LDX_IMM, Code.AND_K, Code.OR_K, Code.XOR_K),
        *(Code.JEQ_K, Code.JGT_K, Code.JGE_K, Code.JSET_K),
    }
)
_IMAGE_WORDS = {fact: word for word, fact in EXTENSIONS.items()} | {
    Ancillary.VLAN_TAG_PRESENT: "vlanp",
    Ancillary.RANDOM: "random",
    Ancillary.ALU_XOR_X: "xor_x",
}
_ASM_WORDS = {fact: word for word, fact in reversed(EXTENSIONS.items())}
_UNKNOWN_TO_LIBPCAP = (Code.LDX_W_LEN, Code.RET_X, Code.LDX_W_ABS)


def _operand(insn: SockFilter, index: int) -> str:
    """What both kinds of text have in common."""
    code, number = insn.code, signed32(insn.k)
    if code in (Code.LD_W_ABS, Code.LD_H_ABS, Code.LD_B_ABS):
        return f"[{number}]"
    if code == Code.LDX_B_MSH:
        return f"4*([{number}]&0xf)"
    if code in (Code.LD_MEM, Code.LDX_MEM, Code.ST, Code.STX):
        return f"M[{number}]"
    if code == Code.JA:
        return str(signed32(index + 1 + insn.k))
    if code in (Code.RET_A, Code.TAX, Code.TXA, Code.NEG):
        return ""
    if insn.by_x and insn.cls in (0x04, 0x05):
        return "x"
    return f"#{insn.k:#x}" if code in _IN_HEX else f"#{number}"


def image(insn: SockFilter, index: int) -> str:
    """The instruction at ``index`` as ``tcpdump -d`` prints it, with ``unimp`` for what libpcap does not know."""
    code = insn.code
    if code not in _NAMES or code in _UNKNOWN_TO_LIBPCAP:
        return f"({index:03d}) {'unimp':<8} {code:#x}"
    fact = ancillary(insn)
    if fact is not None:
        operand = f"[{_IMAGE_WORDS[fact]}]"
    elif code == Code.LD_W_LEN:
        operand = "#pktlen"
    elif code in (Code.LD_W_IND, Code.LD_H_IND, Code.LD_B_IND):
        operand = f"[x + {signed32(insn.k)}]"
    else:
        operand = _operand(insn, index)
    text = f"({index:03d}) {_NAMES[Code(code)]:<8} "
    if not insn.conditional:
        return text + operand
    return f"{text}{operand:<16} jt {index + 1 + insn.jt}\tjf {index + 1 + insn.jf}"


def image_listing(insns: Sequence[SockFilter]) -> str:
    """The filter as ``tcpdump -d`` prints it."""
    return "".join(f"{image(insn, index)}\n" for index, insn in enumerate(insns))


def _assembly(insn: SockFilter, index: int) -> str:
    code = insn.code
    if code not in _NAMES or code == Code.LDX_W_ABS:
        return f"; opcode {code:#06x}, jt {insn.jt}, jf {insn.jf}, k {insn.k:#x}"
    name = _NAMES[Code(code)]
    fact = ancillary(insn)
    if fact in _ASM_WORDS:
        return f"{name} #{_ASM_WORDS[fact]}"
    if code in (Code.LD_W_LEN, Code.LDX_W_LEN):
        return f"{name} #len"
    if code in (Code.LD_W_IND, Code.LD_H_IND, Code.LD_B_IND):
        return f"{name} [x + {signed32(insn.k)}]"
    if code in (Code.RET_A, Code.RET_X):
        return f"{name} {'a' if code == Code.RET_A else 'x'}"
    if code == Code.RET_K:
        return f"{name} #{insn.k:#x}"
    if code == Code.JA:
        return f"{name} l{signed32(index + 1 + insn.k)}"
    operand = _operand(insn, index)
    if insn.conditional:
        return f"{name} {operand}, l{index + 1 + insn.jt}, l{index + 1 + insn.jf}"
    return f"{name} {operand}".rstrip()


def asm_listing(insns: Sequence[SockFilter]) -> str:
    """The filter in the kernel's assembly language, each instruction with a label; an unknown opcode is a comment."""
    return "".join(f"l{index}:\t{_assembly(insn, index)}\n" for index, insn in enumerate(insns))
