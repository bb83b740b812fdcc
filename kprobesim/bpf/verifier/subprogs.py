"""The functions of a program: where they begin, that jumps stay inside them, how deep their stacks get.

Follows Linux kernel/bpf/verifier.c: add_subprog_and_kfunc, check_subprogs, check_kfunc_call,
check_max_stack_depth.
"""

from bisect import bisect_left
from typing import TYPE_CHECKING

from kprobesim.bpf.isa import LDDW, Class, Mode, Pseudo
from kprobesim.bpf.verifier.attach import distill_func_proto
from kprobesim.bpf.verifier.env import MAX_BPF_STACK, Subprog
from kprobesim.bpf.verifier.kernel_btf import TracedFunction
from kprobesim.bpf.verifier.state import MAX_CALL_FRAMES
from kprobesim.image.btf import BtfKind
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["add_subprogs", "check_kfunc_call", "check_max_stack_depth", "check_subprogs", "find_subprog"]

_MAX_SUBPROGS = 256
_MAX_KFUNC_DESCS = 256
_CALL, _EXIT = 0x85, 0x95
_JA, _JA32 = 0x05, 0x06
_TAIL_CALL = 12


def find_subprog(env: "Env", start: int) -> int:
    """Number of the function that begins at ``start``, or -1."""
    starts = [sub.start for sub in env.subprogs]
    at = bisect_left(starts, start)
    return at if at < len(starts) and starts[at] == start else -1


def _add(env: "Env", start: int) -> None:
    if not 0 <= start < env.count:
        env.reject(Errno.EINVAL, "call to invalid destination")
    if find_subprog(env, start) >= 0:
        return
    if len(env.subprogs) >= _MAX_SUBPROGS:
        env.reject(Errno.E2BIG, "too many subprograms")
    env.subprogs.append(Subprog(start))
    env.subprogs.sort(key=lambda sub: sub.start)


def add_subprogs(env: "Env") -> None:
    """Find the functions: the program's start and all targets of local calls and callbacks."""
    _add(env, 0)
    kernel_functions = False
    for index, insn in enumerate(env.insns):
        env.insn_idx = index
        is_func = insn.code == LDDW and insn.src == Pseudo.FUNC
        if not is_func and not (insn.code == _CALL and insn.src in (1, 2)):
            continue
        if not env.bpf_capable:
            env.reject(
                Errno.EPERM,
                "loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN",
            )
        if is_func or insn.src == 1:
            _add(env, index + insn.imm + 1)
        else:
            _check_kernel_function(env, insn.imm, insn.off, kernel_functions)
            kernel_functions = True
    if env.log.deep:
        for number, sub in enumerate(env.subprogs):
            env.log.write(f"func#{number} @{sub.start}\n")


def _check_kernel_function(env: "Env", number: int, off: int, seen: bool) -> None:
    """A call by the number of a function in the kernel's types: it must be one (add_kfunc_call)."""
    if not seen:
        if not env.setup.jit:
            env.reject(Errno.ENOTSUPP, "JIT is required for calling kernel function")
        if not env.setup.gpl_compatible:
            env.reject(Errno.EINVAL, "cannot call kernel function from non-GPL compatible program")
    if number == 0 and off == 0:
        return
    if off:
        message = "failed to find BTF for kernel function"
        if off < 0:
            env.log.write("negative offset disallowed for kernel module function call\n")
            env.reject(Errno.EINVAL, message)
        env.log.write("kfunc offset > 0 without fd_array is invalid\n")
        env.reject(Errno.EPROTO, message)
    if number in env.kernel_functions:
        return
    if len(env.kernel_functions) == _MAX_KFUNC_DESCS:
        env.reject(Errno.E2BIG, "too many different kernel function calls")
    env.kernel_functions[number] = _kernel_function(env, number & 0xFFFFFFFF)


def _kernel_function(env: "Env", number: int) -> str:
    """Its name."""
    btf, facts = env.setup.btf, env.setup.function_facts
    entry = btf.type(number) if btf is not None and number < len(btf) else None
    if btf is None or entry is None or entry.kind is not BtfKind.FUNC:
        env.reject(Errno.EINVAL, f"kernel btf_id {number} is not a function")
    prototype = btf.type(entry.target)
    if prototype.kind is not BtfKind.FUNC_PROTO:
        env.reject(Errno.EINVAL, f"kernel function btf_id {number} does not have a valid func_proto")
    if facts is not None and facts(entry.name) is None:
        env.reject(Errno.EINVAL, f"cannot find address for kernel function {entry.name}")
    distill_func_proto(env, btf, TracedFunction(entry.name, prototype.parameters, prototype.target))
    return entry.name


def check_kfunc_call(env: "Env", number: int) -> None:
    """A call of a function of the kernel that a path has come to.

    Linux asks whether it was registered for programs of this type. This kernel registers none.
    """
    if number:
        env.reject(Errno.EACCES, f"calling kernel function {env.kernel_functions[number]} is not allowed")


def check_subprogs(env: "Env") -> None:
    """Jumps must stay inside their function, and no function may run off its end."""
    ends = [sub.start for sub in env.subprogs[1:]] + [env.count]
    current = 0
    for index, insn in enumerate(env.insns):
        sub, end = env.subprogs[current], ends[current]
        env.insn_idx = index
        code = insn.code
        cls = code & 7
        if code == _CALL and insn.imm == _TAIL_CALL and insn.src != 1:
            sub.has_tail_call = True
        if cls == Class.LD and code & 0xE0 in (Mode.ABS, Mode.IND):
            sub.has_ld_abs = True
        if cls in (Class.JMP, Class.JMP32) and code & 0xF0 not in (0x80, 0x90):
            target = index + 1 + (insn.imm if code == _JA32 else insn.off)
            if not sub.start <= target < end:
                env.reject(Errno.EINVAL, f"jump out of range from insn {index} to {target}")
        if index == end - 1:
            if code not in (_EXIT, _JA, _JA32):
                env.reject(Errno.EINVAL, "last insn is not an exit or jmp")
            current += 1


def _depth(sub: Subprog) -> int:
    return (max(sub.stack_depth, 1) + 31) // 32 * 32


def check_max_stack_depth(env: "Env") -> None:
    """Functions that call each other share 512 bytes of stack, 256 above a tail call."""
    for number, sub in enumerate(env.subprogs):
        if number == 0 or sub.is_async_cb:
            _check_depth_from(env, number)


def _check_depth_from(env: "Env", number: int) -> None:
    subs = env.subprogs
    ends = [sub.start for sub in subs[1:]] + [env.count]
    calls: list[tuple[int, int]] = []
    depth, index, entering = 0, subs[number].start, True
    while True:
        if entering:
            entering = False
            if number and subs[number].has_tail_call and depth >= 256:
                env.reject(
                    Errno.EACCES,
                    f"tail_calls are not allowed when call stack of previous frames is {depth} bytes. Too large",
                )
            depth += _depth(subs[number])
            if depth > MAX_BPF_STACK:
                env.reject(Errno.EACCES, f"combined stack size of {len(calls) + 1} calls is {depth}. Too large")
        while index < ends[number]:
            insn = env.insns[index]
            local = insn.code == _CALL and insn.src == 1
            if local or (insn.code == LDDW and insn.src == Pseudo.FUNC):
                target = index + insn.imm + 1
                callee = find_subprog(env, target)
                if local or not subs[callee].is_async_cb:
                    calls.append((index + 1, number))
                    if len(calls) >= MAX_CALL_FRAMES:
                        env.reject(Errno.E2BIG, f"the call stack of {len(calls)} frames is too deep !")
                    number, index, entering = callee, target, True
                    break
            index += 1
        if entering:
            continue
        if not calls:
            return
        depth -= _depth(subs[number])
        index, number = calls.pop()
