"""What a function begins and ends with, its jumps and its tail calls.

Follows Linux arch/x86/net/bpf_jit_comp.c: emit_prologue, push_callee_regs, pop_callee_regs, the tail calls of
emit_bpf_tail_call_indirect and emit_bpf_tail_call_direct, and do_jit's cases of classes JMP and JMP32.
"""

from collections.abc import Sequence

from kprobesim.bpf.isa import Class, Insn
from kprobesim.bpf.jit.config import MAX_TAIL_CALL_CNT, JitConfig
from kprobesim.bpf.jit.encoding import NOPS, byte, dword, is_imm8, op_digit, op_reg_reg, rel32
from kprobesim.bpf.jit.registers import REG2HEX

__all__ = [
    "CONDITIONS",
    "INDIRECT_JUMP_RCX",
    "compare",
    "emit_prologue",
    "is_imm8_jmp_offset",
    "near_jump",
    "pop_callee_regs",
    "push_callee_regs",
    "restore_tail_call_cnt",
    "round_up8",
    "short_jump",
    "tail_call_direct",
    "tail_call_indirect",
]

_ENDBR = b"\xf3\x0f\x1e\xfa"
_PUSH_RBP, _MOV_RBP_RSP = b"\x55", b"\x48\x89\xe5"
_PUSH_RAX, _POP_RAX = b"\x50", b"\x58"
_XOR_EAX_EAX = b"\x31\xc0"
_JE, _JAE, _JBE = 0x74, 0x73, 0x76
INDIRECT_JUMP_RCX = b"\xff\xe1"

CONDITIONS = {
    0x10: 0x74,  # JEQ: je
    0x20: 0x77,  # JGT: ja
    0x30: 0x73,  # JGE: jae
    0x40: 0x75,  # JSET: jne, after test
    0x50: 0x75,  # JNE: jne
    0x60: 0x7F,  # JSGT: jg
    0x70: 0x7D,  # JSGE: jge
    0xA0: 0x72,  # JLT: jb
    0xB0: 0x76,  # JLE: jbe
    0xC0: 0x7C,  # JSLT: jl
    0xD0: 0x7E,  # JSLE: jle
}
"""Operation of a conditional jump -> opcode of the short x86 jump."""
_JSET = 0x40


def round_up8(size: int) -> int:
    """The next multiple of 8."""
    return size + 7 & ~7


def emit_prologue(
    stack_depth: int, *, from_cbpf: bool, tail_call_reachable: bool, is_subprog: bool, config: JitConfig
) -> bytes:
    """A function's entry: five bytes for a trampoline to patch, the tail call counter, the frame.

    The counter travels in rax. The first function sets it to 0, the others take what their caller has restored.
    """
    endbr = _ENDBR if config.ibt else b""
    code = endbr + NOPS[5]
    if not from_cbpf:
        code += _XOR_EAX_EAX if tail_call_reachable and not is_subprog else NOPS[2]
    code += _PUSH_RBP + _MOV_RBP_RSP + endbr
    if stack_depth:
        code += b"\x48\x81\xec" + dword(round_up8(stack_depth))
    return code + _PUSH_RAX if tail_call_reachable else code


def push_callee_regs(used: Sequence[int]) -> bytes:
    """Save the used ones of rbx, r13, r14, r15."""
    return b"".join(_push_pop(register, 0x50) for register in used)


def pop_callee_regs(used: Sequence[int]) -> bytes:
    """Take them back."""
    return b"".join(_push_pop(register, 0x58) for register in reversed(used))


def _push_pop(register: int, opcode: int) -> bytes:
    number = REG2HEX[register]
    prefix = b"\x41" if number >= 8 else b""
    return prefix + bytes((opcode + (number & 7),))


def compare(insn: Insn) -> bytes:
    """What sets the flags for a conditional jump: cmp, or test for JSET and for comparisons with 0."""
    wide = insn.cls is Class.JMP
    if insn.by_reg:
        return op_reg_reg(b"\x85" if insn.op == _JSET else b"\x39", insn.src, insn.dst, wide)
    if insn.op == _JSET:
        return op_digit(0xF7, 0, insn.dst, wide) + dword(insn.imm)
    if insn.imm == 0:
        return op_reg_reg(b"\x85", insn.dst, insn.dst, wide)
    if is_imm8(insn.imm):
        return op_digit(0x83, 7, insn.dst, wide) + byte(insn.imm)
    return op_digit(0x81, 7, insn.dst, wide) + dword(insn.imm)


def is_imm8_jmp_offset(offset: int) -> bool:
    """Whether a jump gets the short form. Forwards only up to 123: beyond, passes might swap lengths for ever."""
    return -128 <= offset <= 123


def short_jump(condition: int | None, offset: int) -> bytes:
    """The two-byte form; None is the unconditional jump."""
    return bytes((0xEB if condition is None else condition, offset & 0xFF))


def near_jump(condition: int | None, offset: int) -> bytes:
    """The form with 32 bits of displacement."""
    opcode = b"\xe9" if condition is None else bytes((0x0F, condition + 0x10))
    return opcode + rel32(offset, "jump")


def restore_tail_call_cnt(stack_depth: int) -> bytes:
    """The counter from its slot into rax, before a call, for the callee to save."""
    return b"\x48\x8b\x85" + dword(-round_up8(stack_depth) - 8)


def _count_up(stack_depth: int, out: int) -> bytes:
    """Leave for ``out``, a position counted from the first byte after these, when the counter is at its limit."""
    slot = dword(-4 - round_up8(stack_depth))
    add_and_store = b"\x83\xc0\x01" + b"\x89\x85" + slot
    check = b"\x8b\x85" + slot + bytes((0x83, 0xF8, MAX_TAIL_CALL_CNT))
    return check + short_jump(_JAE, len(add_and_store) + out) + add_and_store


def _unwind(used: Sequence[int], stack_depth: int) -> bytes:
    code = pop_callee_regs(used) + _POP_RAX
    return code + b"\x48\x81\xc4" + dword(round_up8(stack_depth)) if stack_depth else code


def tail_call_indirect(used: Sequence[int], stack_depth: int, jump: bytes, config: JitConfig) -> bytes:
    """``bpf_tail_call(ctx, array, index)``; falls through if the index, the counter or the entry says no.

    The last instructions go to the other program, ``X86_TAIL_CALL_OFFSET`` bytes into it: past the part of its
    prologue that has been done already.

    Args:
        used: callee-saved registers that the prologue has pushed.
        stack_depth: the function's.
        jump: how to jump to rcx.
        config: offsets and mitigations.
    """
    leave = _unwind(used, stack_depth)
    leave += bytes((0x48, 0x8B, 0x49, config.prog_bpf_func))  # mov off(%rcx),%rcx
    leave += bytes((0x48, 0x83, 0xC1, config.tail_call_offset))  # add $off,%rcx
    leave += jump
    fetch = b"\x48\x8b\x8c\xd6" + dword(config.array_ptrs)  # mov ptrs(%rsi,%rdx,8),%rcx
    fetch += b"\x48\x85\xc9" + short_jump(_JE, len(leave))  # test %rcx,%rcx
    count = _count_up(stack_depth, len(fetch) + len(leave))
    index = b"\x89\xd2" + bytes((0x39, 0x56, config.array_max_entries))  # mov %edx,%edx; cmp %edx,max_entries(%rsi)
    return index + short_jump(_JBE, len(count) + len(fetch) + len(leave)) + count + fetch + leave


def tail_call_direct(used: Sequence[int], stack_depth: int) -> tuple[bytes, int, int]:
    """A tail call whose index the verifier knows, and offsets of the two places that are patched as the array changes.

    The bypass, a jump to the end, becomes a nop when the entry is filled; the nop after it becomes the jump there.
    """
    leave = _unwind(used, stack_depth) + NOPS[5]
    count = _count_up(stack_depth, 5 + len(leave))
    code = count + near_jump(None, len(leave)) + leave
    return code, len(count), len(code) - 5
