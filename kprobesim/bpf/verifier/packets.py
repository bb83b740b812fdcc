"""Packet pointers: how a comparison with the packet's end shows that bytes are there.

Follows Linux kernel/bpf/verifier.c: find_good_pkt_pointers, try_match_pkt_pointers, is_pkt_ptr_branch_taken.
"""

from kprobesim.bpf.isa import Class, Insn
from kprobesim.bpf.verifier.branches import FLIPPED, JGE, JGT, JLE, JLT
from kprobesim.bpf.verifier.reg import Reg
from kprobesim.bpf.verifier.reg_type import (
    PTR_TO_PACKET,
    PTR_TO_PACKET_END,
    PTR_TO_PACKET_META,
    type_is_pkt_pointer,
)
from kprobesim.bpf.verifier.state import State

__all__ = ["is_pkt_pointer_any", "is_pkt_ptr_branch_taken", "try_match_pkt_pointers"]

_MAX_PACKET_OFF = 0xFFFF
_AT_PKT_END, _BEYOND_PKT_END = -1, -2


def is_pkt_pointer_any(reg: Reg) -> bool:
    """Whether it points into a packet, its metadata, or at its end."""
    return type_is_pkt_pointer(reg.type) or reg.type == PTR_TO_PACKET_END


def is_pkt_ptr_branch_taken(dst: Reg, src: Reg, op: int) -> bool | None:
    """Whether a comparison with the packet's end is decided by an earlier one."""
    if src.type == PTR_TO_PACKET_END:
        packet = dst
    elif dst.type == PTR_TO_PACKET_END:
        packet = src
        op = FLIPPED.get(op, 0)
    else:
        return None
    if packet.extent >= 0:
        return None
    if op in (JLE, JGT) and packet.extent == _BEYOND_PKT_END:
        return op == JGT
    if op in (JLT, JGE) and packet.extent in (_BEYOND_PKT_END, _AT_PKT_END):
        return op == JGE
    return None


def _find_good(state: State, chosen: Reg, right_open: bool) -> None:
    """All pointers with the same variable part may go as far as this one was shown to."""
    if chosen.off < 0 or (chosen.off == 0 and right_open):
        return
    if chosen.umax > _MAX_PACKET_OFF or chosen.umax + chosen.off > _MAX_PACKET_OFF:
        return
    extent = chosen.off + right_open
    for frame, place in state.places():
        reg = frame.values[place]
        if reg.type == chosen.type and reg.id == chosen.id and reg.extent < extent:
            frame.own(place).extent = extent


def _mark_end(state: State, regno: int, open_: bool) -> None:
    frame = state.frame
    if frame.values[regno].type == PTR_TO_PACKET:
        frame.own(regno).extent = _BEYOND_PKT_END if open_ else _AT_PKT_END


def _starts_packet(reg: Reg) -> bool:
    return reg.type == PTR_TO_PACKET and reg.id == 0 and reg.off == 0 and reg.var_off == (0, 0)


def _within(low: Reg, high: Reg) -> bool:
    """Whether the comparison is one of a pointer with the end of what it points into."""
    return (low.type == PTR_TO_PACKET and high.type == PTR_TO_PACKET_END) or (
        low.type == PTR_TO_PACKET_META and _starts_packet(high)
    )


def try_match_pkt_pointers(insn: Insn, this: State, other: State) -> bool:
    """Whether the jump compares packet pointers; if so, the edge on which they are in order learns it.

    Args:
        insn: the jump.
        this: the state where it is not taken.
        other: the state where it is.
    """
    op = insn.code & 0xF0
    if not insn.code & 8 or insn.code & 7 == Class.JMP32 or op not in (JGT, JLT, JGE, JLE):
        return False
    dst, src = this.frame.values[insn.dst], this.frame.values[insn.src]
    greater = op in (JGT, JGE)
    if _within(dst, src):
        pointer, regno = dst, insn.dst
        good, bad = (this, other) if greater else (other, this)
        right_open = op in (JLT, JGE)
    elif _within(src, dst):
        pointer, regno = src, insn.src
        good, bad = (other, this) if greater else (this, other)
        right_open = op in (JGT, JLE)
    else:
        return False
    _find_good(good, pointer, right_open)
    _mark_end(bad, regno, not right_open)
    return True
