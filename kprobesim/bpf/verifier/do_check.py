"""The walk: one instruction after the other along one path after the other.

Follows Linux kernel/bpf/verifier.c: do_check.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kprobesim.bpf.isa import Class, Insn, Mode
from kprobesim.bpf.verifier.alu import check_alu_op
from kprobesim.bpf.verifier.calls import check_func_call, prepare_func_exit
from kprobesim.bpf.verifier.exits import check_ld_abs, check_return_code
from kprobesim.bpf.verifier.helper_call import check_helper_call
from kprobesim.bpf.verifier.jumps import check_cond_jmp_op
from kprobesim.bpf.verifier.ldimm64 import check_ld_imm
from kprobesim.bpf.verifier.mem_access import SIZES, check_atomic, check_mem_access
from kprobesim.bpf.verifier.prune import is_state_visited
from kprobesim.bpf.verifier.references import check_reference_leak
from kprobesim.bpf.verifier.reg_type import (
    NOT_INIT,
    PTR_TO_BTF_ID,
    PTR_TO_CTX,
    SK_POINTERS,
    base_type,
)
from kprobesim.bpf.verifier.subprogs import check_kfunc_call
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env
    from kprobesim.bpf.verifier.visits import Recorder

__all__ = ["do_check"]

_SPIN_UNLOCK = 94
_REWRITTEN = frozenset({PTR_TO_CTX, PTR_TO_BTF_ID}) | SK_POINTERS


def _check_same_pointer(env: "Env", kind: int) -> None:
    """An access that Linux rewrites by the pointer's type must have the same type on all paths."""
    aux = env.aux_of(env.insn_idx)
    if aux.ptr_type == NOT_INIT:
        aux.ptr_type = kind
    elif kind != aux.ptr_type and (base_type(kind) in _REWRITTEN or base_type(aux.ptr_type) in _REWRITTEN):
        env.reject(Errno.EINVAL, "same insn cannot be used with different pointers")


def _ldx(env: "Env", insn: Insn) -> None:
    env.check_src(insn.src)
    env.check_dst(insn.dst, mark=False)
    kind = env.frame.values[insn.src].type
    check_mem_access(env, insn.src, insn.off, SIZES[insn.code & 0x18], False, insn.dst)
    _check_same_pointer(env, kind)


def _stx(env: "Env", insn: Insn) -> None:
    mode = insn.code & 0xE0
    if mode == Mode.ATOMIC:
        check_atomic(env, insn)
        return
    if mode != Mode.MEM or insn.imm:
        env.reject(Errno.EINVAL, "BPF_STX uses reserved fields")
    env.check_src(insn.src)
    kind = env.check_src(insn.dst).type
    check_mem_access(env, insn.dst, insn.off, SIZES[insn.code & 0x18], True, insn.src)
    _check_same_pointer(env, kind)


def _st(env: "Env", insn: Insn) -> None:
    if insn.code & 0xE0 != Mode.MEM or insn.src:
        env.reject(Errno.EINVAL, "BPF_ST uses reserved fields")
    if env.check_src(insn.dst).type == PTR_TO_CTX:
        env.reject(Errno.EACCES, f"BPF_ST stores into R{insn.dst} {env.type_at(insn.dst)} is not allowed")
    check_mem_access(env, insn.dst, insn.off, SIZES[insn.code & 0x18], True, -1)


def _ld(env: "Env", insn: Insn) -> None:
    mode = insn.code & 0xE0
    if mode in (Mode.ABS, Mode.IND):
        check_ld_abs(env, insn)
    elif mode == Mode.IMM:
        check_ld_imm(env, insn)
        env.insn_idx += 1
        if env.insn_idx < env.count and not env.state.speculative:
            env.seen[env.insn_idx] = 1
    else:
        env.reject(Errno.EINVAL, "invalid BPF_LD mode")


def _call(env: "Env", insn: Insn) -> None:
    wrong = insn.code & 8 or insn.src > 2 or insn.dst or insn.code & 7 == Class.JMP32
    if wrong or (insn.src != 2 and insn.off):
        env.reject(Errno.EINVAL, "BPF_CALL uses reserved fields")
    if env.state.active_spin_lock and (insn.src == 1 or insn.imm != _SPIN_UNLOCK):
        env.reject(Errno.EINVAL, "function calls are not allowed while holding a lock")
    if insn.src == 1:
        check_func_call(env, insn)
    elif insn.src == 2:
        check_kfunc_call(env, insn.imm)
    else:
        check_helper_call(env, insn)


def _ja(env: "Env", insn: Insn) -> None:
    short = insn.code & 7 == Class.JMP
    if insn.code & 8 or insn.src or insn.dst or (insn.imm if short else insn.off):
        env.reject(Errno.EINVAL, "BPF_JA uses reserved fields")
    env.insn_idx += insn.off if short else insn.imm


def _exit(env: "Env", insn: Insn) -> bool:
    """Whether the path ends, rather than going on in the caller."""
    if insn.code & 8 or insn.imm or insn.src or insn.dst or insn.code & 7 == Class.JMP32:
        env.reject(Errno.EINVAL, "BPF_EXIT uses reserved fields")
    if env.state.active_spin_lock:
        env.reject(Errno.EINVAL, "bpf_spin_unlock is missing")
    check_reference_leak(env)
    if env.state.curframe:
        prepare_func_exit(env)
        return False
    check_return_code(env)
    return True


_BY_CLASS: dict[int, Callable[["Env", Insn], None]] = {
    Class.LD: _ld,
    Class.LDX: _ldx,
    Class.ST: _st,
    Class.STX: _stx,
    Class.ALU: check_alu_op,
    Class.ALU64: check_alu_op,
}


class _Walk:
    """The walk's own state: what to print before the next instruction."""

    def __init__(self, env: "Env", recorder: "Recorder | None") -> None:
        self.env = env
        self.log = env.log
        self.recorder = recorder
        self.print_state = False

    def run(self) -> None:
        env = self.env
        counters = env.counters
        log = self.log
        recorder = self.recorder
        limit = env.setup.stop_after
        while True:
            index = env.insn_idx
            if index >= env.count:
                env.reject(Errno.EFAULT, f"invalid insn idx {index} insn_cnt {env.count}")
            insn = env.insns[index]
            counters.insn_processed += 1
            if counters.insn_processed > limit:
                message = f"BPF program is too large. Processed {counters.insn_processed} insn"
                env.reject(Errno.E2BIG, message)
            if is_state_visited(env, index):
                self._tell_safe()
                if recorder is not None:
                    recorder.pruned(env)
                if not self._next_path():
                    return
                continue
            if log.on:
                self._tell_insn(index)
            if not env.state.speculative:
                env.seen[index] = 1
            if recorder is not None:
                recorder.before(env)
            env.prev_insn_idx = index
            ended = self._step(insn)
            if recorder is not None:
                recorder.after(env, ended)
            if ended and not self._next_path():
                return

    def _step(self, insn: Insn) -> bool:
        """Check one instruction and find the next; whether the path ends here."""
        env = self.env
        cls = insn.code & 7
        check = _BY_CLASS.get(cls)
        if check is not None:
            check(env, insn)
            env.insn_idx += 1
            return False
        env.jmps_processed += 1
        op = insn.code & 0xF0
        if op == 0x90:
            ended = _exit(env, insn)
            self.print_state |= not ended
            return ended
        if op == 0x80:
            _call(env, insn)
        elif op == 0x00:
            _ja(env, insn)
        else:
            check_cond_jmp_op(env, insn)
        env.insn_idx += 1
        return False

    def _next_path(self) -> bool:
        self.log.all_scratched()
        self.env.branch_done()
        self.print_state = True
        return self.env.pop_stack(cut_log=not self.log.deep)

    def _from_to(self) -> str:
        env = self.env
        speculative = " (speculative execution)" if env.state.speculative else ""
        return f"\nfrom {env.prev_insn_idx} to {env.insn_idx}{speculative}:"

    def _tell_safe(self) -> None:
        if not self.log.per_insn:
            return
        if self.print_state:
            self.log.write(f"{self._from_to()} safe\n")
        else:
            self.log.write(f"{self.env.insn_idx}: safe\n")

    def _tell_insn(self, index: int) -> None:
        log, env = self.log, self.env
        if log.full:
            # Nothing can change the answer any more; Linux goes on to the end all the same.
            env.reject_logged(Errno.ENOSPC, "")
        if log.deep and self.print_state:
            log.write(self._from_to())
            log.state(env.frame)
            self.print_state = False
        if log.per_insn:
            if log.scratched_regs or log.scratched_slots:
                log.insn_state(index, env.frame)
            log.source_line(index, "; ")
            log.insn(index, env.text_of(index))


def do_check(env: "Env", recorder: "Recorder | None" = None) -> None:
    """Walk all paths from the current state."""
    _Walk(env, recorder).run()
