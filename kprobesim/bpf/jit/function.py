"""One function: passes over its instructions until their lengths stand still, then its image at an address.

A jump's length depends on the lengths of what it jumps over, jumps included. So every instruction is first taken for
64 bytes, and each pass uses the offsets of the pass before; code only shrinks. Where it does not stand still after
15 passes, jumps that could still shrink are padded with nops instead.

Follows Linux arch/x86/net/bpf_jit_comp.c: do_jit and bpf_int_jit_compile.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kprobesim.bpf.isa import BPF_TAIL_CALL, Class, Insn, Pseudo, is_lddw, lddw_value
from kprobesim.bpf.jit.alu import ALU_EMITTERS, emit_mov_imm64
from kprobesim.bpf.jit.beyond import v4_emitter
from kprobesim.bpf.jit.config import JitConfig
from kprobesim.bpf.jit.encoding import NOPS, dword, rel32, rex
from kprobesim.bpf.jit.errors import JitError
from kprobesim.bpf.jit.flow import (
    CONDITIONS,
    INDIRECT_JUMP_RCX,
    compare,
    emit_prologue,
    is_imm8_jmp_offset,
    near_jump,
    pop_callee_regs,
    push_callee_regs,
    restore_tail_call_cnt,
    short_jump,
    tail_call_direct,
    tail_call_indirect,
)
from kprobesim.bpf.jit.image import CallSite, ExtableEntry, JitImage, SiteKind, TailCallPoke
from kprobesim.bpf.jit.loads import LOAD_EMITTERS, PROBE_MEM_CODES, emit_probe_mem
from kprobesim.bpf.jit.registers import REG2HEX, X86_NAMES, callee_regs_used, pt_regs_offset

__all__ = ["MAX_PASSES", "PADDING_PASSES", "Function", "compile_function", "link"]

MAX_PASSES = 20
PADDING_PASSES = MAX_PASSES - 5
_ROUGH_SIZE = 64
_CALL, _EXIT, _JA, _GOTOL = 0x85, 0x95, 0x05, 0x06


@dataclass(frozen=True, slots=True)
class Function:
    """What the JIT is given: one function as the verifier leaves it.

    Attributes:
        insns: its instructions, one entry per slot; jumps are relative and stay inside.
        start: slot of the first one in the program.
        stack_depth: bytes of stack, as the verifier found.
        tail_call_reachable: whether a tail call may happen in a function that this one calls.
        from_cbpf: whether it was a classic BPF filter.
    """

    insns: tuple[Insn, ...]
    start: int = 0
    stack_depth: int = 0
    tail_call_reachable: bool = False
    from_cbpf: bool = False


def compile_function(function: Function, config: JitConfig) -> JitImage:
    """The function's image at address 0, with zeros where addresses of other things belong; see ``link``.

    Raises:
        JitError: an unknown opcode, or offsets that never stand still.
    """
    return _Compilation(function, config).run()


def link(image: JitImage, address: int, resolve: Callable[[CallSite], int]) -> JitImage:
    """The image at its address, with its addresses filled in.

    Args:
        image: what compile_function gave.
        address: where the first byte will be.
        resolve: the address that a site leads to.
    """
    code = bytearray(image.code)
    sites = []
    for site in image.sites:
        target = resolve(site)
        sites.append(replace(site, target=target))
        if site.kind is SiteKind.FUNCTION:
            if target >> 32 == 0:
                raise JitError("a function's address has more than 32 bits in Linux.", site.slot)
            code[site.offset : site.offset + 8] = target.to_bytes(8, "little")
        else:
            field = rel32(_signed64(target - (address + site.offset + 4)), f"{site.kind.value} at {target:#x}")
            code[site.offset : site.offset + 4] = field
    return replace(image, code=bytes(code), address=address, sites=tuple(sites))


def _signed64(value: int) -> int:
    return (value & (1 << 64) - 1 ^ 1 << 63) - (1 << 63)


@dataclass(slots=True)
class _Piece:
    """Code of one instruction that is the same in every pass, with what has to be said of it."""

    code: bytes
    site: CallSite | None = None
    extable: ExtableEntry | None = None
    poke: TailCallPoke | None = None


class _Compilation:
    def __init__(self, function: Function, config: JitConfig) -> None:
        self._insns = insns = function.insns
        self._start = function.start
        self._config = config
        self._used = callee_regs_used(insns)
        self._stack_depth = function.stack_depth
        # A tail call in the function itself makes it reachable too.
        self._counting = function.tail_call_reachable or any(insn.code == BPF_TAIL_CALL for insn in insns)
        self._prologue = emit_prologue(
            function.stack_depth,
            from_cbpf=function.from_cbpf,
            tail_call_reachable=self._counting,
            is_subprog=function.start != 0,
            config=config,
        ) + push_callee_regs(self._used)
        self._epilogue = self._emit_epilogue()
        self._steady = self._emit_steady()
        self._addrs = [_ROUGH_SIZE * (index + 1) for index in range(len(insns) + 1)]
        self._cleanup_addr = self._addrs[-1]
        self._exit_slot = -1

    def run(self) -> JitImage:
        previous = 0
        for number in range(MAX_PASSES):
            length = sum(map(len, self._pass(number >= PADDING_PASSES)))
            if length == previous:
                break
            previous = length
        else:
            raise JitError(f"the code has not stood still after {MAX_PASSES} passes.")
        before = list(self._addrs)
        pieces = self._pass(number + 1 >= PADDING_PASSES)
        if self._addrs != before:
            raise JitError("an instruction's offset changed in the last pass.")
        return self._image(b"".join(pieces), number + 2)

    def _image(self, code: bytes, passes: int) -> JitImage:
        sites, extable, pokes = [], [], []
        addrs = list(self._addrs)
        for slot, piece in self._steady.items():
            at = addrs[slot]
            if piece.site is not None:
                sites.append(replace(piece.site, offset=at + piece.site.offset))
            if piece.extable is not None:
                extable.append(replace(piece.extable, offset=at + piece.extable.offset))
            if piece.poke is not None:
                poke = piece.poke
                pokes.append(replace(poke, bypass=at + poke.bypass, target=at + poke.target))
            if is_lddw(self._insns[slot]):
                addrs[slot + 1] = addrs[slot + 2]
        epilogue = (0, 0)
        if self._exit_slot >= 0:
            epilogue = (self._cleanup_addr, self._cleanup_addr + len(self._epilogue.code))
            if self._epilogue.site is not None:
                site = self._epilogue.site
                sites.append(replace(site, slot=self._exit_slot, offset=self._cleanup_addr + site.offset))
        return JitImage(
            code,
            0,
            self._start,
            self._insns,
            tuple(addrs),
            (0, len(self._prologue)),
            epilogue,
            self._stack_depth,
            passes,
            tuple(extable),
            tuple(sorted(sites, key=lambda site: site.offset)),
            tuple(pokes),
        )

    def _pass(self, padding: bool) -> list[bytes]:
        """One pass: new offsets in ``_addrs``, and the code as the old ones make it."""
        insns, addrs = self._insns, self._addrs
        pieces = [self._prologue]
        self._exit_slot = -1
        addrs[0] = length = len(self._prologue)
        slot = 0
        while slot < len(insns):
            following = slot + (2 if is_lddw(insns[slot]) else 1)
            steady = self._steady.get(slot)
            code = self._moving(slot, length, padding) if steady is None else steady.code
            pieces.append(code)
            length += len(code)
            addrs[following] = length
            slot = following
        return pieces

    def _moving(self, slot: int, at: int, padding: bool) -> bytes:
        """An instruction whose code depends on offsets: a jump, or an exit."""
        insn, addrs = self._insns[slot], self._addrs
        # Until this pass has set it, the next slot's offset is the one that the previous pass gave it.
        end = addrs[slot + 1]
        room = end - at
        if insn.code == _EXIT:
            if self._exit_slot < 0:
                self._exit_slot, self._cleanup_addr = slot, at
                return self._epilogue.code
            return self._jump(None, self._cleanup_addr - end, room, padding)
        distance = insn.imm if insn.code == _GOTOL else insn.off
        target = slot + 1 + distance
        if not 0 <= target < len(addrs):
            raise JitError("the jump leaves the function.", self._start + slot)
        if insn.code not in (_JA, _GOTOL):
            test = compare(insn)
            return test + self._jump(CONDITIONS[insn.op], addrs[target] - end, room - len(test), padding)
        # A jump to itself is known without looking at offsets that may still change.
        offset = -2 if distance == -1 else addrs[target] - end
        if offset:
            return self._jump(None, offset, room, padding)
        return _pad(room, (0, 2, 5)) if padding else b""

    def _jump(self, condition: int | None, offset: int, room: int, padding: bool) -> bytes:
        if not is_imm8_jmp_offset(offset):
            return near_jump(condition, offset)
        # The nops go before the jump: after it they would be part of its distance.
        nops = _pad(room - 2, (0, 3) if condition is None else (0, 4)) if padding else b""
        return nops + short_jump(condition, offset)

    def _emit_steady(self) -> dict[int, _Piece]:
        steady = {}
        slot = 0
        while slot < len(self._insns):
            try:
                piece = self._emit(slot)
            except JitError as error:
                raise JitError(error.message, self._start + slot, hint=error.hint) from None
            if piece is not None:
                steady[slot] = piece
            slot += 2 if is_lddw(self._insns[slot]) else 1
        return steady

    def _emit(self, slot: int) -> _Piece | None:
        insn = self._insns[slot]
        code = insn.code
        if is_lddw(insn):
            return self._load_imm64(slot)
        if code in PROBE_MEM_CODES:
            probe = emit_probe_mem(insn, self._config.task_size_max)
            size = len(probe.code) - probe.load_at
            register = X86_NAMES[REG2HEX[insn.dst]]
            entry = ExtableEntry(self._start + slot, probe.load_at, size, register, pt_regs_offset(insn.dst))
            return _Piece(probe.code, extable=entry)
        if code == _CALL:
            return self._call(slot)
        if code == BPF_TAIL_CALL:
            return self._tail_call(slot)
        if insn.cls in (Class.JMP, Class.JMP32):
            if code in (_EXIT, _JA, _GOTOL) or insn.op in CONDITIONS:
                return None
        else:
            emitter = v4_emitter(insn) or ALU_EMITTERS.get(code) or LOAD_EMITTERS.get(code)
            if emitter is not None:
                return _Piece(emitter(insn))
        raise JitError(f"unknown opcode {code:02x}.")

    def _load_imm64(self, slot: int) -> _Piece:
        insn = self._insns[slot]
        if slot + 1 == len(self._insns):
            raise JitError("the 64-bit load lacks its second half.")
        if insn.src != Pseudo.FUNC:
            return _Piece(emit_mov_imm64(insn.dst, lddw_value(self._insns, slot)))
        head = rex(True, 0, insn.dst) + bytes((0xB8 + (REG2HEX[insn.dst] & 7),))
        start = self._start + slot
        site = CallSite(len(head), start, SiteKind.FUNCTION, start + 1 + insn.imm, 0)
        return _Piece(head + bytes(8), site)

    def _call(self, slot: int) -> _Piece:
        insn = self._insns[slot]
        before = restore_tail_call_cnt(self._stack_depth) if self._counting else b""
        at = self._start + slot
        if insn.src == 1:
            kind, value = SiteKind.LOCAL, at + 1 + insn.imm
        elif insn.imm == 0:
            raise JitError("a call of function 0, which is none.")
        else:
            kind, value = SiteKind.HELPER, insn.imm
        return _Piece(before + b"\xe8" + dword(0), CallSite(len(before) + 1, at, kind, value, 0))

    def _tail_call(self, slot: int) -> _Piece:
        insn, at = self._insns[slot], self._start + slot
        if insn.imm:
            code, bypass, target = tail_call_direct(self._used, self._stack_depth)
            return _Piece(code, poke=TailCallPoke(at, insn.imm - 1, bypass, target))
        thunk = self._config.indirect_thunk is not None
        jump = b"\xe9" + dword(0) if thunk else INDIRECT_JUMP_RCX + (b"\xcc" if self._config.sls else b"")
        code = tail_call_indirect(self._used, self._stack_depth, jump, self._config)
        return _Piece(code, CallSite(len(code) - 4, at, SiteKind.INDIRECT_THUNK, 0, 0) if thunk else None)

    def _emit_epilogue(self) -> _Piece:
        code = pop_callee_regs(self._used) + b"\xc9"
        if self._config.return_thunk is None:
            return _Piece(code + (b"\xc3\xcc" if self._config.sls else b"\xc3"))
        code += b"\xe9" + dword(0)
        return _Piece(code, CallSite(len(code) - 4, 0, SiteKind.RETURN_THUNK, 0, 0))


def _pad(length: int, allowed: Sequence[int]) -> bytes:
    if length not in allowed:
        raise JitError(f"unexpected jump padding: {length} bytes.")
    return NOPS[length]
