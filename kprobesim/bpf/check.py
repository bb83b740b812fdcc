"""The decode check: is this program made of instructions that exist, with jumps that land on one?

This is not a verifier. It does not follow paths, so it does not know whether a register was ever written, whether a
pointer is in bounds, whether the stack was initialised, whether a loop ends, whether an instruction is reachable, or
whether a helper gets arguments of the right type; a constant shift that is too wide and a division by the constant 0
pass as well. What passes here may still fault or run into its instruction budget.

Where Linux 6.1 has a text for the mistake, it is that text. Three differences are on purpose: instructions are checked
in program order and not in the order in which paths reach them; an ``exit`` with an offset is refused (RFC 9669 asks
for zero, 6.1 does not look); and opcode 06, which 6.1 takes for a short ``goto`` when its immediate is 0, is refused
below level V4. Follows Linux kernel/bpf/verifier.c: check_subprogs, resolve_pseudo_ldimm64, check_cfg and do_check.
"""

from collections.abc import Callable, Container, Sequence

from kprobesim.bpf.errors import LoadError
from kprobesim.bpf.helper_names import HELPER_NAMES, helper_text
from kprobesim.bpf.isa import ATOMIC_OPS, MAX_REG, Class, Insn, Level, Mode, Op, Pseudo, is_lddw
from kprobesim.bpf.variants import BY_CODE, Form, Variant, find
from kprobesim.linux_errno import Errno

__all__ = ["BPF_COMPLEXITY_LIMIT_INSNS", "BPF_MAXINSNS", "check_program", "jump_target", "subprograms"]

BPF_MAXINSNS = 4096
"""Longest program of a user without CAP_BPF."""
BPF_COMPLEXITY_LIMIT_INSNS = 1_000_000
"""Longest program of a user with it."""
MAX_SUBPROGS = 256

_WRITES_DST = frozenset({Form.ALU_IMM, Form.ALU_REG, Form.NEG, Form.END, Form.MOVSX, Form.LDX, Form.LDDW})


def _refuse(message: str, insn: int | None, errno: Errno = Errno.EINVAL, hint: str = "") -> LoadError:
    return LoadError(errno, message, insn=insn, hint=hint)


def jump_target(insns: Sequence[Insn], index: int) -> int | None:
    """Where the jump in slot ``index`` goes, or None if that is no jump; calls are none."""
    insn = insns[index]
    if insn.cls not in (Class.JMP, Class.JMP32) or insn.op in (0x80, 0x90):
        return None
    return index + 1 + (insn.imm if insn.code == 0x06 else insn.off)


def _second_slots(insns: Sequence[Insn]) -> frozenset[int]:
    found = set()
    index = 0
    while index < len(insns):
        if is_lddw(insns[index]):
            found.add(index + 1)
            index += 1
        index += 1
    return frozenset(found)


def subprograms(insns: Sequence[Insn]) -> tuple[int, ...]:
    """First slots of the program's functions in order, 0 among them; LoadError where a local call leads outside."""
    starts = {0}
    inside = _second_slots(insns)
    for index, insn in enumerate(insns):
        target = None
        if (insn.code == 0x85 and insn.src == 1) or (is_lddw(insn) and insn.src == Pseudo.FUNC and index not in inside):
            target = index + 1 + insn.imm
        if target is None:
            continue
        if not 0 <= target < len(insns):
            raise _refuse("call to invalid destination", index)
        if target in inside:
            raise _refuse(f"jump into the middle of ldimm64 insn {target - 1}", index)
        starts.add(target)
    if len(starts) > MAX_SUBPROGS:
        raise _refuse("too many subprograms", None, Errno.E2BIG)
    return tuple(sorted(starts))


def _check_jumps(insns: Sequence[Insn], inside: frozenset[int]) -> None:
    """check_subprogs: jumps stay inside their function, and functions do not fall off their end."""
    starts = subprograms(insns)
    for start, end in zip(starts, (*starts[1:], len(insns)), strict=True):
        for index in range(start, end):
            target = None if index in inside else jump_target(insns, index)
            if target is not None and not start <= target < end:
                raise _refuse(f"jump out of range from insn {index} to {target}", index)
        if insns[end - 1].code not in (0x95, 0x05, 0x06):
            raise _refuse("last insn is not an exit or jmp", end - 1)
    for index in range(len(insns)):
        target = None if index in inside else jump_target(insns, index)
        if target in inside:
            raise _refuse(f"jump into the middle of ldimm64 insn {target - 1}", index)


def _check_opcodes(insns: Sequence[Insn], level: Level, inside: frozenset[int]) -> None:
    """resolve_pseudo_ldimm64: opcodes exist, and 64-bit loads have both halves."""
    for index, insn in enumerate(insns):
        if index in inside:
            continue
        if insn.cls is Class.LDX and _known(insn.code, level) and insn.imm:
            raise _refuse("BPF_LDX uses reserved fields", index)
        if is_lddw(insn):
            second = insns[index + 1] if index + 1 < len(insns) else None
            if second is None or second[:4] != (0, 0, 0, 0):
                raise _refuse("invalid bpf_ld_imm64 insn", index)
            if insn.src > Pseudo.MAP_IDX_VALUE or (insn.src in (Pseudo.MAP_FD, Pseudo.MAP_IDX) and second.imm):
                raise _refuse("unrecognized bpf_ld_imm64 insn", index)
        elif not _known(insn.code, level):
            raise _refuse(f"unknown opcode {insn.code:02x}", index)


def _known(code: int, level: Level) -> bool:
    return any(variant.level <= level for variant in BY_CODE.get(code, ()))


def _reserved(insn: Insn) -> str:
    """Linux's text for an instruction whose opcode exists but whose other fields do not fit it."""
    cls, op = insn.cls, insn.op
    if cls in (Class.ALU, Class.ALU64):
        name = {Op.END: "END", Op.NEG: "NEG", Op.MOV: "MOV"}.get(Op(op), "ALU")
    elif cls is Class.LD:
        name = "LD_IMM64" if is_lddw(insn) else "LD_[ABS|IND]"
    elif cls is Class.STX and insn.mode == Mode.ATOMIC:
        return f"BPF_ATOMIC uses invalid atomic opcode {insn.imm & 0xFFFFFFFF:02x}"
    elif cls in (Class.JMP, Class.JMP32):
        name = {0x00: "JA", 0x80: "CALL", 0x90: "EXIT"}.get(op, "JMP/JMP32")
    else:
        name = cls.name
    return f"BPF_{name} uses reserved fields"


def _check_registers(insn: Insn, variant: Variant, index: int) -> None:
    used = [getattr(insn, field) for field in ("src", "dst") if field in variant.form.operands]
    for register in used:
        if register > MAX_REG:
            raise _refuse(f"R{register} is invalid", index)
    fetches = variant.form is Form.ATOMIC and ATOMIC_OPS[insn.imm] not in ("add", "or", "and", "xor", "cmpxchg")
    written = insn.dst if variant.form in _WRITES_DST else insn.src if fetches else None
    if written == MAX_REG:
        raise _refuse("frame pointer is read only", index, Errno.EACCES)


def _check_helper(insn: Insn, index: int, helpers: Container[int] | None) -> None:
    if not 0 <= insn.imm < len(HELPER_NAMES):
        raise _refuse(f"invalid func {helper_text(insn.imm)}", index)
    if insn.imm == 0 or (helpers is not None and insn.imm not in helpers):
        raise _refuse(
            f"unknown func {helper_text(insn.imm)}", index, hint="No such helper is here for programs of this type."
        )


def check_program(
    insns: Sequence[Insn],
    level: Level = Level.V3,
    *,
    helpers: Container[int] | None = None,
    limit: int = BPF_COMPLEXITY_LIMIT_INSNS,
    visit: Callable[[int, Insn, Variant], None] | None = None,
) -> None:
    """Refuse a program that is not made of valid instructions.

    Args:
        insns: the program, one entry per 8-byte slot.
        level: which instructions exist.
        helpers: ids that may be called; None stands for all that Linux 6.1 names.
        limit: longest program accepted, in slots: BPF_MAXINSNS for unprivileged users.
        visit: called for every valid instruction with its slot, record and variant; may raise.

    Raises:
        LoadError: the first mistake; ``insn`` is its slot. EINVAL but for length (E2BIG) and writing R10 (EACCES).
    """
    if not 0 < len(insns) <= limit:
        raise _refuse("", None, Errno.E2BIG, f"A program has 1 to {limit} instructions, this one has {len(insns)}.")
    inside = _second_slots(insns)
    _check_jumps(insns, inside)
    _check_opcodes(insns, level, inside)
    for index, insn in enumerate(insns):
        if index in inside:
            continue
        variant = find(insn, level)
        if variant is None:
            raise _refuse(_reserved(insn), index)
        _check_registers(insn, variant, index)
        if variant.form is Form.CALL:
            _check_helper(insn, index, helpers)
        if visit is not None:
            visit(index, insn, variant)
