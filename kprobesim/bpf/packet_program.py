"""Programs whose context is a packet, as the verifier leaves them.

What such a program knows as ``struct __sk_buff`` is the kernel's ``struct sk_buff``: each load of a field becomes a
load from where that field is, and a load from the packet (``LD_ABS``, ``LD_IND``) a call. Follows Linux
kernel/bpf/verifier.c:convert_ctx_accesses and net/core/filter.c: bpf_convert_ctx_access, bpf_gen_ld_abs.
"""

from collections.abc import Container, Mapping, Sequence
from typing import Final, NamedTuple

from kprobesim.bpf.errors import LoadError
from kprobesim.bpf.helpers import SkbCall
from kprobesim.bpf.isa import Class, Insn, Mode, Op, Size, is_lddw
from kprobesim.bpf.jit.fixups import Patch, rewrite
from kprobesim.bpf.maps import BpfMap
from kprobesim.bpf.program import Program
from kprobesim.bpf.skb import layout as at
from kprobesim.linux_errno import Errno

__all__ = ["PACKET_TYPES", "ConvertedAccess", "PacketProgram", "convert_packet_access"]

PACKET_TYPES: Final = frozenset({"socket_filter"})
"""Types of programs that are converted here."""

_CTX: Final = 6
_BY_REG: Final = 8
_JEQ, _JGE, _JSGE = 0x15, 0x35, 0x75
_EXIT: Final = Insn(0x95)
_SIZES: Final = {1: Size.B, 2: Size.H, 4: Size.W, 8: Size.DW}
_BYTES: Final = {size: count for count, size in _SIZES.items()}
_MIN_NAPI_ID: Final = 8192 + 1
"""Smaller numbers are those of CPUs: CONFIG_NR_CPUS of Debian's kernel, and one."""
_QDISC_CB_DATA: Final = 8

_PLAIN: Final = {
    # offset in struct __sk_buff: field of struct sk_buff, its bytes
    0: (at.SKB_LEN, 4),
    8: (at.SKB_MARK, 4),
    12: (at.SKB_QUEUE_MAPPING, 2),
    16: (at.SKB_PROTOCOL, 2),
    24: (at.SKB_VLAN_TCI, 2),
    28: (at.SKB_VLAN_PROTO, 2),
    32: (at.SKB_PRIORITY, 4),
    36: (at.SKB_IIF, 4),
    44: (at.SKB_TC_INDEX, 2),
    68: (at.SKB_HASH, 4),
}
_PKT_TYPE, _VLAN_PRESENT, _IFINDEX, _NAPI_ID = 4, 20, 40, 84
_CB: Final = range(48, 68)
_BITS: Final = {_PKT_TYPE: (at.SKB_PKT_TYPE, at.PKT_TYPE_MAX), _VLAN_PRESENT: (at.SKB_VLAN_PRESENT, 1)}
_FIELD_SIZE: Final = 4


class ConvertedAccess(NamedTuple):
    """A program after its accesses were converted.

    Attributes:
        insns: the program.
        cb_access: whether it uses ``cb[]``, which must then be cleared before and put back after it.
    """

    insns: tuple[Insn, ...]
    cb_access: bool


def convert_packet_access(insns: Sequence[Insn], ctx_accesses: Container[int]) -> ConvertedAccess:
    """Turn accesses to the context into accesses to ``struct sk_buff``.

    Args:
        insns: a verified program.
        ctx_accesses: slots of the loads and stores that go to the context.

    Raises:
        LoadError: EINVAL, a field that this kernel's packets do not have.
    """
    uses_cb = any(slot in ctx_accesses and insn.off in _CB for slot, insn in enumerate(insns))

    def patch(slot: int) -> Patch | None:
        insn = insns[slot]
        if insn.cls is Class.LD and not is_lddw(insn):
            return Patch(_load_from_packet(insn))
        if slot not in ctx_accesses:
            return None
        return Patch(_access(slot, insn))

    return ConvertedAccess(rewrite(insns, patch).insns, uses_cb)


def _ldx(size: int, dst: int, src: int, off: int) -> Insn:
    return Insn(Class.LDX | Mode.MEM | _SIZES[size], dst, src, off)


def _imm(op: Op, dst: int, imm: int, *, wide: bool = False) -> Insn:
    return Insn((Class.ALU64 if wide else Class.ALU) | op, dst, imm=imm)


def _access(slot: int, insn: Insn) -> tuple[Insn, ...]:
    if insn.off in _CB:
        return (insn._replace(off=insn.off - _CB.start + at.SKB_CB + _QDISC_CB_DATA),)
    size = _BYTES[Size(insn.code & 0x18)]
    inside = insn.off % _FIELD_SIZE
    made = _load(slot, insn.off - inside, insn.dst, insn.src)
    if size == _FIELD_SIZE:
        return made
    # A part of the field is taken out of the whole.
    shift = (_imm(Op.RSH, insn.dst, 8 * inside),) if inside else ()
    return *made, *shift, _imm(Op.AND, insn.dst, (1 << 8 * size) - 1)


def _load(slot: int, field: int, dst: int, src: int) -> tuple[Insn, ...]:
    """A whole field."""
    if field in _PLAIN:
        offset, size = _PLAIN[field]
        return (_ldx(size, dst, src, offset),)
    if field in _BITS:
        offset, mask = _BITS[field]
        return _ldx(1, dst, src, offset), _imm(Op.AND, dst, mask)
    if field == _IFINDEX:
        return _ldx(8, dst, src, at.SKB_DEV), Insn(_JEQ, dst, off=1), _ldx(4, dst, dst, at.DEV_IFINDEX)
    if field == _NAPI_ID:
        above = Insn(_JGE, dst, off=1, imm=_MIN_NAPI_ID)
        return _ldx(4, dst, src, at.SKB_NAPI_ID), above, _imm(Op.MOV, dst, 0, wide=True)
    raise LoadError(
        Errno.EINVAL,
        "bpf verifier is misconfigured",
        insn=slot,
        hint=f"Packets of this kernel have nothing that a program could read at offset {field} of struct __sk_buff.",
    )


_LOAD_HELPERS: Final = {
    Size.B: SkbCall.LOAD_HELPER_8_NO_CACHE,
    Size.H: SkbCall.LOAD_HELPER_16_NO_CACHE,
    Size.W: SkbCall.LOAD_HELPER_32_NO_CACHE,
}


def _load_from_packet(insn: Insn) -> tuple[Insn, ...]:
    """LD_ABS or LD_IND: outside of the packet the program ends with 0."""
    offset: tuple[Insn, ...]
    if insn.code & 0xE0 == Mode.ABS:
        offset = (_imm(Op.MOV, 2, insn.imm, wide=True),)
    else:
        offset = (Insn(Class.ALU64 | Op.MOV | _BY_REG, 2, insn.src),)
        if insn.imm:
            offset += (_imm(Op.ADD, 2, insn.imm, wide=True),)
    return (
        *offset,
        Insn(Class.ALU64 | Op.MOV | _BY_REG, 1, _CTX),
        Insn(0x85, imm=_LOAD_HELPERS[Size(insn.code & 0x18)]),
        Insn(_JSGE, 0, off=2),
        Insn(Class.ALU | Op.XOR | _BY_REG, 0, 0),
        _EXIT,
    )


class PacketProgram(Program):
    """A verified program whose instructions are the converted ones: it calls what no other could name.

    Args:
        name, type, license: see Program.
        converted: its instructions.
        maps: which map an LDDW means by its number.

    Attributes:
        cb_access: see ConvertedAccess.
    """

    def __init__(
        self,
        name: str,
        type: str,  # noqa: A002 - as for Program
        converted: ConvertedAccess,
        maps: Mapping[int, BpfMap],
        license: str,  # noqa: A002
    ) -> None:
        self.cb_access = converted.cb_access
        super().__init__(name, type, converted.insns, maps, license)

    def _check(self) -> None:
        """The verifier has seen it: only its maps are looked up."""
        slot = 0
        while slot < len(self.insns):
            if is_lddw(self.insns[slot]):
                self._lddw(slot, self.insns[slot])
                slot += 1
            slot += 1
