"""What a classic filter must look like to be let into the kernel.

No path is followed and no register is tracked: jumps go forward only, so a filter ends; A and X hold numbers, never
pointers, and start as zero; a load outside the packet ends the run. All that is left to prove is that opcodes and
constants are good, that jumps land inside, that the last instruction returns, and that no word of M[] is read before
it was written.

Follows Linux net/core/filter.c: bpf_check_basics_ok, bpf_check_classic, chk_code_allowed and check_load_and_stores.
Linux says EINVAL and nothing else; the hints here are our own.
"""

from collections.abc import Sequence

from kprobesim.bpf.classic.isa import (
    BPF_MAXINSNS,
    BPF_MEMWORDS,
    MASK32,
    SKF_AD_OFF,
    Code,
    SockFilter,
    ancillary,
)
from kprobesim.bpf.errors import LoadError
from kprobesim.linux_errno import Errno

__all__ = ["bpf_check_classic", "check_load_and_stores", "chk_code_allowed", "refuse"]

_ALLOWED = frozenset(Code) - {Code.LDX_W_ABS, Code.RET_X}
_DIVISIONS = (Code.DIV_K, Code.MOD_K)
_SHIFTS = (Code.LSH_K, Code.RSH_K)
_STORES = (Code.ST, Code.STX)
_RELOADS = (Code.LD_MEM, Code.LDX_MEM)
_ABSOLUTE = (Code.LD_W_ABS, Code.LD_H_ABS, Code.LD_B_ABS)
_RETURNS = (Code.RET_K, Code.RET_A)
_ALL_CELLS = (1 << BPF_MEMWORDS) - 1


def refuse(hint: str, insn: int | None = None) -> LoadError:
    """EINVAL with our own explanation, ``insn`` being the instruction at fault."""
    where = "" if insn is None else f"Instruction {insn}: "
    return LoadError(Errno.EINVAL, "", insn=insn, hint=where + hint)


def chk_code_allowed(code: int) -> bool:
    """Whether Linux knows this opcode, 0 to 65535."""
    return code in _ALLOWED


def bpf_check_classic(insns: Sequence[SockFilter]) -> None:
    """Refuse what the kernel would refuse of a filter for a socket.

    Raises:
        LoadError: EINVAL, with the first instruction at fault.
    """
    flen = len(insns)
    if not 0 < flen <= BPF_MAXINSNS:
        raise refuse(f"A filter has 1 to {BPF_MAXINSNS} instructions, this one has {flen}.")
    for pc, insn in enumerate(insns):
        problem = _problem(insn, flen - pc - 1)
        if problem:
            raise refuse(problem, pc)
    if insns[-1].code not in _RETURNS:
        raise refuse("The last one must be a return of a constant or of A.", flen - 1)
    check_load_and_stores(insns)


def _problem(insn: SockFilter, following: int) -> str:
    """What is wrong with one instruction that has ``following`` others behind it; nothing if it is good."""
    code, k = insn.code, insn.k
    if not chk_code_allowed(code):
        return f"There is no opcode {code:#06x}."
    if code in _DIVISIONS and k == 0:
        return "It divides by the constant 0."
    if code in _SHIFTS and k >= 32:
        return f"It shifts 32 bits by {k}."
    if (code in _STORES or code in _RELOADS) and k >= BPF_MEMWORDS:
        return f"M[] has {BPF_MEMWORDS} words, there is no M[{k}]."
    if code == Code.JA and k >= following:
        return f"It jumps over {k} instructions, but only {following} follow."
    if insn.conditional and max(insn.jt, insn.jf) >= following:
        return f"It jumps over {max(insn.jt, insn.jf)} instructions, but only {following} follow."
    if code in _ABSOLUTE and k >= SKF_AD_OFF & MASK32 and ancillary(insn) is None:
        return f"There is no ancillary load at SKF_AD_OFF+{k - (SKF_AD_OFF & MASK32)}."
    return ""


def check_load_and_stores(insns: Sequence[SockFilter]) -> None:
    """Refuse a read of a word of M[] that some way to it has not written; jumps must have been checked.

    Raises:
        LoadError: EINVAL, with the instruction that reads.
    """
    masks = [_ALL_CELLS] * len(insns)  # one bit per cell: what every jump to here has written
    memvalid = 0
    for pc, insn in enumerate(insns):
        memvalid &= masks[pc]
        if insn.code in _STORES:
            memvalid |= 1 << insn.k
        elif insn.code in _RELOADS:
            if not memvalid >> insn.k & 1:
                raise refuse(f"M[{insn.k}] may be read before it was written.", pc)
        elif insn.code == Code.JA or insn.conditional:
            for skipped in (insn.k,) if insn.code == Code.JA else (insn.jt, insn.jf):
                masks[pc + 1 + skipped] &= memvalid
            memvalid = _ALL_CELLS  # nobody falls through to the next instruction
