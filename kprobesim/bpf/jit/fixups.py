"""What happens to checked instructions before the JIT sees them.

Linux's verifier rewrites a program once it has accepted it: references become addresses, division gets a check of its
divisor, the tail call helper becomes an instruction of its own. The JIT relies on that: x86's div of 0 is a trap.

Follows Linux kernel/bpf/verifier.c: do_misc_fixups, opt_subreg_zext_lo32_rnd_hi32 and convert_pseudo_ld_imm64. Of what
needs to know the program's paths, look-ups in arrays are written out. Not done: those in hashes, tail calls with a
known index, dead code removal, PROBE_MEM.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from kprobesim.bpf.check import jump_target
from kprobesim.bpf.isa import BPF_TAIL_CALL, Class, Insn, Op, Pseudo, is_lddw
from kprobesim.bpf.jit.errors import JitError
from kprobesim.bpf.jit.lookups import ArrayLookup, map_gen_lookup
from kprobesim.bpf.jit.registers import BPF_REG_AX

__all__ = ["Patch", "Rewritten", "do_misc_fixups", "rewrite"]

_CMPXCHG = 0xF1
_TAIL_CALL_HELPER = 12
_JA = Insn(0x05)
_JEQ, _JNE, _JGT = 0x10, 0x50, 0x20


class Rewritten(NamedTuple):
    """Instructions after a rewrite, and for each of their slots the slot it came from."""

    insns: tuple[Insn, ...]
    origin: tuple[int, ...]


class Patch(NamedTuple):
    """What one instruction (both slots of a 64-bit load) becomes.

    ``carrier`` is the index of the one that goes where the original went, if that jumped or called.
    """

    insns: tuple[Insn, ...]
    carrier: int = -1


def rewrite(insns: Sequence[Insn], patch: Callable[[int], Patch | None]) -> Rewritten:
    """Replace instructions and move all jumps and local calls along.

    Args:
        insns: the program.
        patch: asked for each instruction by its slot; None leaves it.

    Raises:
        JitError: a jump that no longer fits its field.
    """
    made: list[Insn] = []
    origin: list[int] = []
    places = [0] * (len(insns) + 1)
    carriers: list[tuple[int, int]] = []  # new slot, old slot
    slot = 0
    while slot < len(insns):
        slots = 2 if is_lddw(insns[slot]) else 1
        found = patch(slot) or Patch(tuple(insns[slot : slot + slots]), 0)
        places[slot : slot + slots] = [len(made)] * slots
        if found.carrier >= 0:
            carriers.append((len(made) + found.carrier, slot))
        made += found.insns
        origin += [slot] * len(found.insns)
        slot += slots
    places[len(insns)] = len(made)
    for new, old in carriers:
        target = _target(insns, old)
        if target is not None:
            made[new] = _aimed(made[new], places[target] - new - 1, old)
    return Rewritten(tuple(made), tuple(origin))


def _target(insns: Sequence[Insn], slot: int) -> int | None:
    insn = insns[slot]
    if (insn.code == 0x85 and insn.src == 1) or (is_lddw(insn) and insn.src == Pseudo.FUNC):
        return slot + 1 + insn.imm
    return None if insn.code == BPF_TAIL_CALL else jump_target(insns, slot)


def _aimed(insn: Insn, distance: int, slot: int) -> Insn:
    if insn.code in (0x85, 0x06) or is_lddw(insn):
        return insn._replace(imm=distance)
    if not -(1 << 15) <= distance < 1 << 15:
        raise JitError(f"the jump has become {distance} instructions long and no longer fits.", slot)
    return insn._replace(off=distance)


def do_misc_fixups(insns: Sequence[Insn], lookups: Mapping[int, ArrayLookup] | None = None) -> Rewritten:
    """The program as the JIT wants it.

    Args:
        insns: the program.
        lookups: look-ups that are to be written out, by the slot of the call.
    """
    inlined = {} if lookups is None else {slot: Patch(map_gen_lookup(lookup)) for slot, lookup in lookups.items()}
    return rewrite(insns, lambda slot: inlined.get(slot) or _fixup(insns, slot))


def _fixup(insns: Sequence[Insn], slot: int) -> Patch | None:
    insn = insns[slot]
    if is_lddw(insn):
        if insn.src in (Pseudo.VALUE, Pseudo.FUNC):
            return None
        return Patch((insn._replace(src=0), insns[slot + 1]))
    if insn.cls in (Class.ALU, Class.ALU64) and insn.op in (Op.DIV, Op.MOD):
        if not insn.by_reg:
            return _divide_by_constant(insn)
        return _signed(insn) if insn.off else _unsigned(insn)
    if insn.code == 0x85 and insn.src == 0 and insn.imm == _TAIL_CALL_HELPER:
        return Patch((Insn(BPF_TAIL_CALL),))
    if insn.code == 0xC3 and insn.imm == _CMPXCHG:
        # cmpxchg leaves eax alone when it succeeds, upper half included.
        return Patch((insn, _mov32(0)))
    return None


def _mov32(register: int) -> Insn:
    return Insn(Class.ALU | Op.MOV | 8, register, register)


def _wide(insn: Insn) -> bool:
    return insn.cls is Class.ALU64


def _jump(insn: Insn, op: int, register: int, off: int, imm: int) -> Insn:
    return Insn((Class.JMP if _wide(insn) else Class.JMP32) | op, register, 0, off, imm)


def _unsigned(insn: Insn) -> Patch:
    """x / 0 is 0, x % 0 is x; the 32-bit remainder then still clears the upper half."""
    if insn.op == Op.DIV:
        clear = Insn(Class.ALU | Op.XOR | 8, insn.dst, insn.dst)
        return Patch((_jump(insn, _JNE, insn.src, 2, 0), clear, _JA._replace(off=1), insn))
    if _wide(insn):
        return Patch((_jump(insn, _JEQ, insn.src, 1, 0), insn))
    return Patch((_jump(insn, _JEQ, insn.src, 2, 0), insn, _JA._replace(off=1), _mov32(insn.dst)))


def _signed(insn: Insn) -> Patch:
    """The same for signed division, and MIN / -1, which idiv cannot do: the divisor + 1 is 0 or 1 in the two cases.

    Beyond Linux 6.1, and beyond 6.6, which still trapped on MIN / -1.
    """
    cls = insn.cls
    divisor_plus_1 = (
        Insn(Class.ALU64 | Op.MOV | 8, BPF_REG_AX, insn.src),
        Insn(cls | Op.ADD, BPF_REG_AX, imm=1),
    )
    if insn.op == Op.DIV:
        return Patch(
            (
                *divisor_plus_1,
                _jump(insn, _JGT, BPF_REG_AX, 4, 1),
                _jump(insn, _JEQ, BPF_REG_AX, 1, 0),
                Insn(cls | Op.MOV, insn.dst),
                Insn(cls | Op.NEG, insn.dst),
                _JA._replace(off=1),
                insn,
            )
        )
    rest = () if _wide(insn) else (_JA._replace(off=1), _mov32(insn.dst))
    return Patch(
        (
            *divisor_plus_1,
            _jump(insn, _JGT, BPF_REG_AX, 3, 1),
            _jump(insn, _JEQ, BPF_REG_AX, 3 if _wide(insn) else 4, 1),
            Insn(Class.ALU | Op.MOV, insn.dst),
            _JA._replace(off=1 if _wide(insn) else 2),
            insn,
            *rest,
        )
    )


def _divide_by_constant(insn: Insn) -> Patch | None:
    """Division by the constants that trap. The verifier refuses 0, but unverified programs have to go on as well."""
    zero_extend = () if _wide(insn) else (_mov32(insn.dst),)
    if insn.imm == 0:
        if insn.op == Op.DIV:
            return Patch((Insn(Class.ALU | Op.XOR | 8, insn.dst, insn.dst),))
        return Patch(zero_extend or (_JA,))
    if insn.off and insn.imm == -1:
        if insn.op == Op.DIV:
            return Patch((Insn(insn.cls | Op.NEG, insn.dst),))
        return Patch((Insn(Class.ALU | Op.MOV, insn.dst),))
    return None
