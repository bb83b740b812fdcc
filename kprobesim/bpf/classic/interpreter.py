"""A classic filter, run one instruction at a time: A, X, M[], and the bytes each instruction looked at.

Linux has not run filters like this since 3.15; it converts them to eBPF first. The results are the same, also where
they surprise: a load outside the packet or a division by X = 0 ends the filter with 0, and a load of the device's
number ends it with A where there is no device.
"""

from collections.abc import Sequence
from typing import NamedTuple

from kprobesim.bpf.classic.isa import BPF_MEMWORDS, MASK32, Ancillary, Code, SockFilter, ancillary, signed32
from kprobesim.bpf.classic.program import Filter, FilterMode
from kprobesim.bpf.classic.seccomp import SeccompData
from kprobesim.bpf.environment import Environment
from kprobesim.bpf.errors import RunError
from kprobesim.bpf.skb import Skb, SkbView, skb_get_nlattr, skb_get_nlattr_nest, skb_get_poff, skb_load

__all__ = ["Execution", "Read", "State", "run_filter"]


class Read(NamedTuple):
    """Bytes that an instruction looked at: an offset from ``skb->data`` (or in seccomp_data), and how many."""

    offset: int
    size: int


class State(NamedTuple):
    """The machine after an instruction.

    Attributes:
        pc: which instruction it was.
        insn: the instruction.
        a, x: the registers, unsigned 32 bits.
        mem: the words of M[]; None where nothing was stored yet.
        reads: the bytes it looked at, in order.
        next: the instruction that follows, or None after the last.
        result: what the filter returned, or None as long as it runs.
    """

    pc: int
    insn: SockFilter
    a: int
    x: int
    mem: tuple[int | None, ...]
    reads: tuple[Read, ...]
    next: int | None
    result: int | None


class _Watched:
    """A packet that notes what is read of it."""

    def __init__(self, skb: SkbView) -> None:
        self._skb = skb
        self.reads: list[Read] = []

    @property
    def len(self) -> int:
        return self._skb.len

    @property
    def data_len(self) -> int:
        return self._skb.data_len

    @property
    def network_offset(self) -> int:
        return self._skb.network_offset

    @property
    def mac_offset(self) -> int:
        return self._skb.mac_offset

    @property
    def protocol(self) -> int:
        return self._skb.protocol

    @property
    def vlan_present(self) -> bool:
        return self._skb.vlan_present

    @property
    def vlan_proto(self) -> int:
        return self._skb.vlan_proto

    def header_pointer(self, offset: int, size: int) -> bytes | None:
        found = self._skb.header_pointer(offset, size)
        if found is not None:
            self.reads.append(Read(offset, size))
        return found


_PACKET_LOADS = {
    Code.LD_W_ABS: False,
    Code.LD_H_ABS: False,
    Code.LD_B_ABS: False,
    Code.LD_W_IND: True,
    Code.LD_H_IND: True,
    Code.LD_B_IND: True,
}


class Execution:
    """One run of a filter over a packet, or over a system call.

    Args:
        program: the filter.
        context: what it looks at: a packet for a socket's filter, a system call for seccomp's.
        env: the machine around it, for the ``cpu`` and ``rand`` loads.

    Raises:
        TypeError: a packet for a filter of system calls, or the other way round.

    Attributes:
        a, x: the registers.
        mem: M[]; None where nothing was stored yet.
        pc: the next instruction.
        executed: instructions executed so far.
        result: what the filter returned, unsigned 32 bits; None as long as it runs.
    """

    def __init__(self, program: Filter, context: Skb | SeccompData, env: Environment) -> None:
        if isinstance(context, SeccompData) != (program.mode is FilterMode.SECCOMP):
            raise TypeError(f"a filter for {program.mode.value} cannot look at {type(context).__name__}")
        self.program = program
        self.context = context
        self.env = env
        self.a = 0
        self.x = 0
        self.mem: list[int | None] = [None] * BPF_MEMWORDS
        self.pc = 0
        self.executed = 0
        self.result: int | None = None

    @property
    def finished(self) -> bool:
        """Whether the filter has returned."""
        return self.result is not None

    def step(self) -> State:
        """Execute one instruction; RunError if the filter has returned."""
        if self.result is not None:
            raise RunError("the filter has returned.", self.pc)
        pc = self.pc
        insn = self.program.checked[pc]
        self.pc += 1
        reads: Sequence[Read] = ()
        cls = insn.cls
        if cls == 0x05:
            self.pc += self._skipped(insn)
        elif cls == 0x04:
            self._alu(insn)
        elif cls == 0x06:
            self.result = self.a if insn.code == Code.RET_A else insn.k
        elif insn.code in _PACKET_LOADS:
            reads = self._load(insn)
        elif insn.code == Code.LDX_B_MSH:
            reads = self._header_length(insn)
        elif insn.code == Code.LDX_W_ABS:
            reads = self._load_seccomp(insn)
        else:
            self._move(insn)
        self.executed += 1
        following = self.pc if self.result is None else None
        return State(pc, insn, self.a, self.x, tuple(self.mem), tuple(reads), following, self.result)

    def run(self) -> int:
        """Execute to the end; what the filter returned."""
        while self.result is None:
            self.step()
        return self.result

    def save(self) -> object:
        """Registers, M[] and place."""
        return self.a, self.x, tuple(self.mem), self.pc, self.executed, self.result

    def restore(self, state: object) -> None:
        """Put back what ``save`` gave."""
        assert isinstance(state, tuple)
        self.a, self.x, mem, self.pc, self.executed, self.result = state
        self.mem = list(mem)

    def _skipped(self, insn: SockFilter) -> int:
        if insn.code == Code.JA:
            return insn.k
        operand = self.x if insn.by_x else insn.k
        op = insn.code & 0xF0
        if op == 0x10:
            taken = self.a == operand
        elif op == 0x20:
            taken = self.a > operand
        elif op == 0x30:
            taken = self.a >= operand
        else:
            taken = self.a & operand != 0
        return insn.jt if taken else insn.jf

    def _alu(self, insn: SockFilter) -> None:
        a, operand = self.a, self.x if insn.by_x else insn.k
        op = insn.code & 0xF0
        if op in (0x30, 0x90):
            if operand == 0:
                self.a = self.result = 0
                return
            a = a // operand if op == 0x30 else a % operand
        elif op == 0x00:
            a += operand
        elif op == 0x10:
            a -= operand
        elif op == 0x20:
            a *= operand
        elif op == 0x40:
            a |= operand
        elif op == 0x50:
            a &= operand
        elif op == 0x60:
            a <<= operand & 31
        elif op == 0x70:
            a >>= operand & 31
        elif op == 0x80:
            a = -a
        else:
            a ^= operand
        self.a = a & MASK32

    def _move(self, insn: SockFilter) -> None:
        code, k = insn.code, insn.k
        if code == Code.TAX:
            self.x = self.a
        elif code == Code.TXA:
            self.a = self.x
        elif code in (Code.ST, Code.STX):
            self.mem[k] = self.a if code == Code.ST else self.x
        else:
            if code in (Code.LD_IMM, Code.LDX_IMM):
                value = k
            elif code in (Code.LD_W_LEN, Code.LDX_W_LEN):
                value = self._skb.len
            else:
                found = self.mem[k]
                assert found is not None  # check_load_and_stores
                value = found
            if insn.cls == 0x00:
                self.a = value
            else:
                self.x = value

    @property
    def _skb(self) -> Skb:
        assert isinstance(self.context, Skb)
        return self.context

    def _load(self, insn: SockFilter) -> Sequence[Read]:
        watched = _Watched(self._skb)
        fact = ancillary(insn)
        if fact is not None:
            self._ancillary(fact, watched)
            return watched.reads
        offset = signed32(self.x + insn.k) if _PACKET_LOADS[Code(insn.code)] else signed32(insn.k)
        value = skb_load(watched, offset, insn.width)
        if value is None:
            self.a = self.result = 0
        else:
            self.a = value
        return watched.reads

    def _header_length(self, insn: SockFilter) -> Sequence[Read]:
        watched = _Watched(self._skb)
        value = skb_load(watched, signed32(insn.k), 1)
        if value is None:
            self.a = self.result = 0
        else:
            self.x = 4 * (value & 0x0F)
        return watched.reads

    def _load_seccomp(self, insn: SockFilter) -> Sequence[Read]:
        assert isinstance(self.context, SeccompData)
        self.a = int.from_bytes(self.context.encode()[insn.k : insn.k + 4], "little")
        return (Read(insn.k, 4),)

    def _ancillary(self, fact: Ancillary, watched: _Watched) -> None:
        skb = self._skb
        if fact in (Ancillary.IFINDEX, Ancillary.HATYPE):
            if skb.dev is None:
                self.result = self.a
            else:
                self.a = skb.dev.ifindex & MASK32 if fact is Ancillary.IFINDEX else skb.dev.type & 0xFFFF
        elif fact is Ancillary.PAY_OFFSET:
            self.a = skb_get_poff(watched)
        elif fact is Ancillary.NLATTR:
            self.a = skb_get_nlattr(watched, self.a, self.x)
        elif fact is Ancillary.NLATTR_NEST:
            self.a = skb_get_nlattr_nest(watched, self.a, self.x)
        elif fact is Ancillary.CPU:
            self.a = self.env.smp_processor_id() & MASK32
        elif fact is Ancillary.RANDOM:
            self.a = self.env.prandom_u32() & MASK32
        elif fact is Ancillary.ALU_XOR_X:
            self.a ^= self.x
        else:
            self.a = _field(skb, fact)


def _field(skb: Skb, fact: Ancillary) -> int:
    """A fact that is a field of struct sk_buff."""
    if fact is Ancillary.PROTOCOL:
        return skb.protocol & 0xFFFF
    if fact is Ancillary.PKTTYPE:
        return skb.pkt_type & 7
    if fact is Ancillary.MARK:
        return skb.mark & MASK32
    if fact is Ancillary.QUEUE:
        return skb.queue_mapping & 0xFFFF
    if fact is Ancillary.RXHASH:
        return skb.hash & MASK32
    if fact is Ancillary.VLAN_TAG:
        return skb.vlan_tci & 0xFFFF
    if fact is Ancillary.VLAN_TAG_PRESENT:
        return int(skb.vlan_present)
    return skb.vlan_proto & 0xFFFF


def run_filter(program: Filter, context: Skb | SeccompData, env: Environment) -> int:
    """Run a filter to its end; what it returned, unsigned 32 bits."""
    return Execution(program, context, env).run()
