"""The first pass: every instruction can be reached, no jump leads out or into the middle of a 64-bit load.

It also finds the instructions at which states are worth comparing. Follows Linux kernel/bpf/verifier.c: check_cfg.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.isa import LDDW, Class, Pseudo
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["check_cfg"]

_DISCOVERED, _EXPLORED = 0x10, 0x20
_FALLTHROUGH, _BRANCH = 1, 2
_TIMER_SET_CALLBACK = 170


class _Walk:
    """A depth-first walk without recursion; an instruction stays on the stack until both its edges were followed."""

    def __init__(self, env: "Env") -> None:
        self.env = env
        self.marks = [0] * env.count
        self.stack = [0]
        self.marks[0] = _DISCOVERED

    def run(self) -> None:
        while self.stack:
            index = self.env.insn_idx = self.stack[-1]
            if not self._visit(index):
                self.marks[index] = _EXPLORED
                self.stack.pop()

    def _push(self, index: int, target: int, edge: int, loop_ok: bool) -> bool:
        """Follow an edge; whether there is a new instruction to visit first."""
        env, marks = self.env, self.marks
        if marks[index] >= _DISCOVERED | edge:
            return False
        if not 0 <= target < env.count:
            env.log.source_line(index, f"{index}: ")
            env.reject(Errno.EINVAL, f"jump out of range from insn {index} to {target}")
        if edge == _BRANCH:
            env.prune_points[target] = env.jmp_points[target] = 1
        if marks[target] == 0:
            marks[index] = _DISCOVERED | edge
            marks[target] = _DISCOVERED
            if len(self.stack) >= env.count:
                env.reject(Errno.E2BIG, "")
            self.stack.append(target)
            return True
        if marks[target] & 0xF0 == _DISCOVERED:
            if loop_ok and env.bpf_capable:
                return False
            env.log.source_line(index, f"{index}: ")
            env.log.source_line(target, f"{target}: ")
            env.reject(Errno.EINVAL, f"back-edge from insn {index} to {target}")
        marks[index] = _DISCOVERED | edge
        return False

    def _call(self, index: int, callee: bool) -> bool:
        env = self.env
        insn = env.insns[index]
        following = index + (2 if insn.code == LDDW else 1)
        if self._push(index, following, _FALLTHROUGH, False):
            return True
        env.prune_points[following] = env.jmp_points[following] = 1
        if not callee:
            return False
        env.prune_points[index] = 1
        is_func = insn.code == LDDW and insn.src == Pseudo.FUNC
        return self._push(index, index + insn.imm + 1, _BRANCH, is_func)

    def _visit(self, index: int) -> bool:
        env = self.env
        insn = env.insns[index]
        code = insn.code
        if code == LDDW and insn.src == Pseudo.FUNC:
            return self._call(index, True)
        if code & 7 not in (Class.JMP, Class.JMP32):
            return self._push(index, index + (2 if code == LDDW else 1), _FALLTHROUGH, False)
        op = code & 0xF0
        if op == 0x90:
            return False
        if op == 0x80:
            if insn.imm == _TIMER_SET_CALLBACK:
                env.prune_points[index] = 1
            return self._call(index, insn.src == 1)
        if op == 0x00:
            if code & 8:
                env.reject(Errno.EINVAL, "")
            target = index + 1 + (insn.imm if code & 7 == Class.JMP32 else insn.off)
            if self._push(index, target, _FALLTHROUGH, True):
                return True
            env.prune_points[target] = env.jmp_points[target] = 1
            return False
        env.prune_points[index] = 1
        if self._push(index, index + 1, _FALLTHROUGH, True):
            return True
        return self._push(index, index + 1 + insn.off, _BRANCH, True)


def check_cfg(env: "Env") -> None:
    """Walk the program's graph."""
    walk = _Walk(env)
    walk.run()
    index = 0
    while index < env.count:
        env.insn_idx = index
        if walk.marks[index] != _EXPLORED:
            env.reject(Errno.EINVAL, f"unreachable insn {index}")
        if env.insns[index].code == LDDW:
            if walk.marks[index + 1]:
                env.reject(Errno.EINVAL, f"jump into the middle of ldimm64 insn {index}")
            index += 1
        index += 1
    env.insn_idx = 0
