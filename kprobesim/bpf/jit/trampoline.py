"""The code of a BPF trampoline: what a function's entry calls while fentry, fexit or fmod_ret programs are on it.

It saves the function's arguments to its own stack, which become the programs' context, calls the programs, and either
returns into the function, or calls the function itself and then the programs that want its result. Its frame::

    rbp + 8          where the call at the function's entry returns to
    rbp              the caller's rbp
    rbp - 8          the function's result, if the trampoline calls it
    rbp - regs_off   the arguments, 8 bytes each: the context
    rbp - nregs_off  how many there are
    rbp - ip_off     the function's address, if a program asks for it
    rbp - run_ctx_off  struct bpf_tramp_run_ctx: the cookie, and the one before

Follows Linux 6.1 arch/x86/net/bpf_jit_comp.c: arch_prepare_bpf_trampoline, invoke_bpf_prog, invoke_bpf_mod_ret.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import NamedTuple

from kprobesim.bpf.isa import Size
from kprobesim.bpf.jit.alu import emit_mov_imm32, emit_mov_imm64, emit_mov_reg
from kprobesim.bpf.jit.encoding import NOPS, byte, op_reg_mem, rel32
from kprobesim.bpf.jit.errors import JitError
from kprobesim.bpf.jit.loads import emit_ldx

__all__ = ["MAX_TRAMPOLINE_ARGS", "TrampFlag", "TrampLink", "TrampLinks", "Trampoline", "arch_prepare_bpf_trampoline"]

MAX_TRAMPOLINE_ARGS = 6
"""Arguments that are passed in registers; a function with more cannot have a trampoline."""

_PATCH_SIZE = 5
_RUN_CTX_SIZE = 16
_RDI, _RSI, _RBX, _FP, _RAX = 1, 2, 6, 10, 0  # BPF registers, by what they are in x86
_ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
_JE, _JNE = 0x74, 0x85
_PUSH_RBP, _MOV_RBP_RSP, _PUSH_RBX = b"\x55", b"\x48\x89\xe5", b"\x53"
_POP_RBX, _LEAVE, _RET_INT3 = b"\x5b", b"\xc9", b"\xc3\xcc"
_SKIP_RETURN = b"\x48\x83\xc4\x08"  # add $8,%rsp
_TEST_RAX = b"\x48\x85\xc0"
_CALL_RBX = b"\xff\xd3"
_CMP_RESULT_0 = b"\x48\x83\x7d\xf8\x00"  # cmpq $0,-8(%rbp)


class TrampFlag(IntFlag):
    """BPF_TRAMP_F_*: what a trampoline has to do beside calling programs."""

    RESTORE_REGS = 1
    CALL_ORIG = 2
    SKIP_FRAME = 4
    IP_ARG = 8
    ORIG_STACK = 32
    """The function may have been moved by another user of its entry: it is called where the return address says."""


class TrampLink(NamedTuple):
    """One program.

    Attributes:
        prog: guest address of its ``struct bpf_prog``.
        bpf_func: of its code, or of the interpreter.
        insnsi: of its instructions, for the interpreter; 0 if it is compiled.
        cookie: what ``bpf_get_attach_cookie`` answers.
        sleepable: whether it may sleep.
    """

    prog: int
    bpf_func: int
    insnsi: int = 0
    cookie: int = 0
    sleepable: bool = False


class TrampLinks(NamedTuple):
    """The programs on one function, by their kind, in the order in which they are called."""

    fentry: tuple[TrampLink, ...] = ()
    fexit: tuple[TrampLink, ...] = ()
    fmod_ret: tuple[TrampLink, ...] = ()


@dataclass(frozen=True, slots=True)
class Trampoline:
    """A trampoline's code and the places in it.

    Attributes:
        address: of the first byte.
        code: the bytes.
        flags: what it does.
        regs_off, nregs_off, ip_off, run_ctx_off: bytes below rbp, see the top of this file.
        ip_after_call: address of the nop behind the call of the function; 0 if it calls none.
        ip_epilogue: where a jump from that nop leads, when the programs behind it are not to be called any more.
    """

    address: int
    code: bytes
    flags: TrampFlag
    regs_off: int
    nregs_off: int
    ip_off: int
    run_ctx_off: int
    ip_after_call: int = 0
    ip_epilogue: int = 0

    @property
    def end(self) -> int:
        """Address after the last byte."""
        return self.address + len(self.code)


def arch_prepare_bpf_trampoline(
    image: int,
    nr_args: int,
    flags: TrampFlag,
    links: TrampLinks,
    func_addr: int,
    *,
    im: int,
    resolve: Callable[[str], int],
) -> Trampoline:
    """Make a trampoline's code.

    Args:
        image: address where it will be.
        nr_args: how many arguments the function has, 8 bytes each.
        flags: what it has to do.
        links: the programs.
        func_addr: the function.
        im: address of its ``struct bpf_tramp_image``.
        resolve: addresses of the kernel's functions by name.

    Raises:
        JitError: more arguments than registers, or a function out of the reach of a call.
    """
    if nr_args > MAX_TRAMPOLINE_ARGS:
        raise JitError(f"a trampoline takes at most {MAX_TRAMPOLINE_ARGS} arguments, the function has {nr_args}.")
    return _Writer(image, nr_args, flags, links, func_addr, im, resolve).write()


class _Writer:
    def __init__(
        self,
        image: int,
        nr_args: int,
        flags: TrampFlag,
        links: TrampLinks,
        func_addr: int,
        im: int,
        resolve: Callable[[str], int],
    ) -> None:
        self._image, self._nr_args, self._flags, self._links = image, nr_args, flags, links
        self._func_addr, self._im, self._resolve = func_addr, im, resolve
        self._saves_result = bool(flags & TrampFlag.CALL_ORIG)
        self._regs_off = 8 * self._saves_result + 8 * nr_args
        self._nregs_off = self._regs_off + 8
        self._ip_off = self._nregs_off + (8 if flags & TrampFlag.IP_ARG else 0)
        self._run_ctx_off = self._ip_off + _RUN_CTX_SIZE
        self._code = bytearray()

    def write(self) -> Trampoline:
        flags = self._flags
        self._prologue()
        if flags & TrampFlag.CALL_ORIG:
            self._call_with_image("__bpf_tramp_enter")
        self._invoke(self._links.fentry, save_result=False)
        branches = self._invoke_mod_ret()
        ip_after_call = self._call_orig() if flags & TrampFlag.CALL_ORIG else 0
        if branches:
            self._code += _align(len(self._code), 16)
            for at in branches:
                jump = bytes((0x0F, _JNE)) + rel32(len(self._code) - (at + 6), "jump")
                self._code[at : at + len(jump)] = jump
        self._invoke(self._links.fexit, save_result=False)
        if flags & TrampFlag.RESTORE_REGS:
            self._restore_regs()
        ip_epilogue = 0
        if flags & TrampFlag.CALL_ORIG:
            ip_epilogue = self._here
            self._call_with_image("__bpf_tramp_exit")
        if self._saves_result:
            self._load(_RAX, 8)
        self._code += _POP_RBX + _LEAVE
        if flags & TrampFlag.SKIP_FRAME:
            self._code += _SKIP_RETURN
        self._code += _RET_INT3
        return Trampoline(
            self._image,
            bytes(self._code),
            flags,
            self._regs_off,
            self._nregs_off,
            self._ip_off,
            self._run_ctx_off,
            ip_after_call,
            ip_epilogue,
        )

    @property
    def _here(self) -> int:
        return self._image + len(self._code)

    def _prologue(self) -> None:
        self._code += _PUSH_RBP + _MOV_RBP_RSP + bytes((0x48, 0x83, 0xEC, self._run_ctx_off)) + _PUSH_RBX
        self._code += emit_mov_imm64(_RAX, self._nr_args)
        self._store(_RAX, self._nregs_off)
        if self._flags & TrampFlag.IP_ARG:
            self._code += emit_mov_imm64(_RAX, self._func_addr)
            self._store(_RAX, self._ip_off)
        for number in range(self._nr_args):
            self._code += _argument(b"\x89", number, self._regs_off - 8 * number)

    def _restore_regs(self) -> None:
        for number in range(self._nr_args):
            self._code += _argument(b"\x8b", number, self._regs_off - 8 * number)

    def _invoke(self, links: Sequence[TrampLink], *, save_result: bool) -> None:
        for link in links:
            self._invoke_prog(link, save_result)

    def _invoke_mod_ret(self) -> list[int]:
        """The programs that may answer in the function's place, and offsets of the jumps of those that do."""
        branches: list[int] = []
        if self._links.fmod_ret:
            self._code += emit_mov_imm32(_RAX, 0, sign_propagate=False)
            self._store(_RAX, 8)
        for link in self._links.fmod_ret:
            self._invoke_prog(link, save_result=True)
            self._code += _CMP_RESULT_0
            branches.append(len(self._code))
            self._code += NOPS[4] + NOPS[2]
        return branches

    def _invoke_prog(self, link: TrampLink, save_result: bool) -> None:
        kind = "_sleepable" if link.sleepable else ""
        self._code += emit_mov_imm64(_RDI, link.cookie)
        self._store(_RDI, self._run_ctx_off)
        self._code += emit_mov_imm64(_RDI, link.prog) + _lea_frame(b"\x75", self._run_ctx_off)
        self._call(self._resolve(f"__bpf_prog_enter{kind}_recur"))
        self._code += emit_mov_reg(_RBX, _RAX, True) + _TEST_RAX
        jump = len(self._code)
        self._code += NOPS[2]
        self._code += _lea_frame(b"\x7d", self._regs_off)
        if link.insnsi:
            self._code += emit_mov_imm64(_RSI, link.insnsi)
        self._call(link.bpf_func)
        if save_result:
            self._store(_RAX, 8)
        self._code[jump : jump + 2] = bytes((_JE, len(self._code) - jump - 2))
        self._code += emit_mov_imm64(_RDI, link.prog) + emit_mov_reg(_RSI, _RBX, True)
        self._code += _lea_frame(b"\x55", self._run_ctx_off)
        self._call(self._resolve(f"__bpf_prog_exit{kind}_recur"))

    def _call_orig(self) -> int:
        """Call the function behind the call at its entry; the address of the nop that follows."""
        self._restore_regs()
        if self._flags & TrampFlag.ORIG_STACK:
            self._code += emit_ldx(Size.DW, _RBX, _FP, 8) + _CALL_RBX
        else:
            skipped = _PATCH_SIZE if self._flags & TrampFlag.SKIP_FRAME else 0
            self._call(self._func_addr + skipped)
        self._store(_RAX, 8)
        at = self._here
        self._code += NOPS[_PATCH_SIZE]
        return at

    def _call_with_image(self, name: str) -> None:
        self._code += emit_mov_imm64(_RDI, self._im)
        self._call(self._resolve(name))

    def _call(self, target: int) -> None:
        self._code += b"\xe8" + rel32(target - (self._here + 5), "call")

    def _store(self, reg: int, below: int) -> None:
        self._code += op_reg_mem(b"\x89", reg, _FP, -below, True)

    def _load(self, reg: int, below: int) -> None:
        self._code += emit_ldx(Size.DW, reg, _FP, -below)


def _argument(opcode: bytes, number: int, below: int) -> bytes:
    """A move between the register of an argument and the frame; BPF has no register for the sixth, r9."""
    if number == 5:
        return b"\x4c" + opcode + bytes((0x40 | 1 << 3 | 5,)) + byte(-below)
    return op_reg_mem(opcode, 1 + number, _FP, -below, True)


def _lea_frame(modrm: bytes, below: int) -> bytes:
    """``lea -below(%rbp)`` into rdi, rsi or rdx."""
    return b"\x48\x8d" + modrm + byte(-below)


def _align(length: int, to: int) -> bytes:
    """Nops up to a multiple, the longest first."""
    missing = -length % to
    return NOPS[4] * (missing // 4) + NOPS[missing % 4]
