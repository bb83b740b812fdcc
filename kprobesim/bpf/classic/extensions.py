"""Ancillary loads and packet loads as eBPF.

Follows Linux net/core/filter.c: convert_skb_access, convert_bpf_extensions and convert_bpf_ld_abs.
"""

from kprobesim.bpf.classic.isa import Ancillary, Code, SockFilter, ancillary, signed32
from kprobesim.bpf.helpers.skb_calls import SkbCall
from kprobesim.bpf.isa import Class, Insn, Mode, Op, Size
from kprobesim.bpf.skb import layout as at

__all__ = [
    "EXIT",
    "REG_A",
    "REG_CTX",
    "REG_D",
    "REG_FP",
    "REG_H",
    "REG_TMP",
    "REG_X",
    "convert_bpf_extensions",
    "convert_bpf_ld_abs",
    "jump_imm",
    "ldx",
    "mov64",
    "xor32",
]

REG_A, REG_X = 0, 7
REG_TMP, REG_CTX = 2, 6
REG_D, REG_H = 8, 9
"""Once a filter reads the packet: ``skb->data``, and how many bytes lie there."""
REG_FP = 10

_ARG1, _ARG2, _ARG3, _ARG4 = 1, 2, 3, 4
_K, _X = 0x00, 0x08
_JNE, _JSGE, _JSLT = 0x50, 0x70, 0xC0
_S16_MAX = (1 << 15) - 1

EXIT = Insn(0x95)


def mov64(dst: int, src: int) -> Insn:
    """``dst = src``, all 64 bits."""
    return Insn(Class.ALU64 | Op.MOV | _X, dst, src)


def xor32(dst: int, src: int) -> Insn:
    """``wdst ^= wsrc``."""
    return Insn(Class.ALU | Op.XOR | _X, dst, src)


def ldx(size: Size, dst: int, src: int, off: int) -> Insn:
    """``dst = *(size *)(src + off)``."""
    return Insn(Class.LDX | Mode.MEM | size, dst, src, off)


def jump_imm(op: int, dst: int, imm: int, off: int) -> Insn:
    """``if dst op imm goto +off``."""
    return Insn(Class.JMP | op, dst, 0, off, imm)


def _call(function: SkbCall) -> Insn:
    return Insn(0x85, imm=function)


def _from_be(bits: int) -> Insn:
    return Insn(Class.ALU | Op.END | _X, REG_A, imm=bits)


def _alu32_imm(op: Op, dst: int, imm: int) -> Insn:
    return Insn(Class.ALU | op, dst, imm=imm)


_DEVICE_FIELDS = {
    Ancillary.IFINDEX: ldx(Size.W, REG_A, REG_TMP, at.DEV_IFINDEX),
    Ancillary.HATYPE: ldx(Size.H, REG_A, REG_TMP, at.DEV_TYPE),
}
_CALLS = {
    Ancillary.PAY_OFFSET: SkbCall.GET_PAY_OFFSET,
    Ancillary.NLATTR: SkbCall.GET_NLATTR,
    Ancillary.NLATTR_NEST: SkbCall.GET_NLATTR_NEST,
    Ancillary.CPU: SkbCall.GET_RAW_CPU_ID,
    Ancillary.RANDOM: SkbCall.USER_RND_U32,
}
_SKB_FIELDS = {
    Ancillary.PROTOCOL: (ldx(Size.H, REG_A, REG_CTX, at.SKB_PROTOCOL), _from_be(16)),
    Ancillary.PKTTYPE: (
        ldx(Size.B, REG_A, REG_CTX, at.SKB_PKT_TYPE),
        _alu32_imm(Op.AND, REG_A, at.PKT_TYPE_MAX),
    ),
    Ancillary.MARK: (ldx(Size.W, REG_A, REG_CTX, at.SKB_MARK),),
    Ancillary.RXHASH: (ldx(Size.W, REG_A, REG_CTX, at.SKB_HASH),),
    Ancillary.QUEUE: (ldx(Size.H, REG_A, REG_CTX, at.SKB_QUEUE_MAPPING),),
    Ancillary.VLAN_TAG: (ldx(Size.H, REG_A, REG_CTX, at.SKB_VLAN_TCI),),
    Ancillary.VLAN_TAG_PRESENT: (
        ldx(Size.B, REG_A, REG_CTX, at.SKB_VLAN_PRESENT),
        _alu32_imm(Op.AND, REG_A, 1),
    ),
    Ancillary.VLAN_TPID: (ldx(Size.H, REG_A, REG_CTX, at.SKB_VLAN_PROTO), _from_be(16)),
    Ancillary.ALU_XOR_X: (xor32(REG_A, REG_X),),
}


def convert_bpf_extensions(insn: SockFilter) -> tuple[Insn, ...] | None:
    """An ancillary load as eBPF, or None if this is none."""
    fact = ancillary(insn)
    if fact is None:
        return None
    if fact in _DEVICE_FIELDS:
        # Without a device the filter ends at once, and what it returns is A as it was.
        dev = ldx(Size.DW, REG_TMP, REG_CTX, at.SKB_DEV)
        return dev, jump_imm(_JNE, REG_TMP, 0, 1), EXIT, _DEVICE_FIELDS[fact]
    if fact in _CALLS:
        return mov64(_ARG1, REG_CTX), mov64(_ARG2, REG_A), mov64(_ARG3, REG_X), _call(_CALLS[fact])
    return _SKB_FIELDS[fact]


_LOAD_HELPERS = {
    Size.B: SkbCall.LOAD_HELPER_8,
    Size.H: SkbCall.LOAD_HELPER_16,
    Size.W: SkbCall.LOAD_HELPER_32,
}
_INDIRECT = (Code.LD_W_IND, Code.LD_H_IND, Code.LD_B_IND)


def convert_bpf_ld_abs(insn: SockFilter) -> tuple[Insn, ...]:
    """A load from the packet: directly where the bytes lie in the linear part, or else by a call.

    The call's result is negative for a load outside the packet; the filter then returns 0.
    """
    size = Size(insn.code & 0x18)
    offset = signed32(insn.k)
    indirect = insn.code in _INDIRECT
    made: list[Insn] = []
    if not indirect and offset >= 0:
        made += _direct(size, insn.width, offset)
    made += [mov64(_ARG1, REG_CTX), mov64(_ARG2, REG_D), mov64(_ARG3, REG_H)]
    if indirect:
        made.append(mov64(_ARG4, REG_X))
        if offset:
            made.append(Insn(Class.ALU64 | Op.ADD, _ARG4, imm=offset))
    else:
        made.append(Insn(Class.ALU64 | Op.MOV, _ARG4, imm=offset))
    return *made, _call(_LOAD_HELPERS[size]), jump_imm(_JSGE, REG_A, 0, 2), xor32(REG_A, REG_A), EXIT


def _direct(size: Size, width: int, offset: int) -> list[Insn]:
    swapped = [] if size is Size.B else [_from_be(8 * width)]
    made = [mov64(REG_TMP, REG_H)]
    if offset:
        made.append(Insn(Class.ALU64 | Op.SUB, REG_TMP, imm=offset))
    if offset <= _S16_MAX:
        load = [ldx(size, REG_A, REG_D, offset)]
    else:
        load = [mov64(REG_TMP, REG_D), Insn(Class.ALU64 | Op.ADD, REG_TMP, imm=offset), ldx(size, REG_A, REG_TMP, 0)]
    load += swapped
    over_the_call = Insn(Class.JMP, off=8)
    return [*made, jump_imm(_JSLT, REG_TMP, width, len(load) + 1), *load, over_the_call]
