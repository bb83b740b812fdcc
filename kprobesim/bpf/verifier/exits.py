"""The end of a program, and the old packet loads, which may end it too.

Follows Linux kernel/bpf/verifier.c: check_return_code, check_ld_abs.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.isa import Insn, Mode
from kprobesim.bpf.verifier.calls import prepare_func_exit, reject_invalid_scalar
from kprobesim.bpf.verifier.references import check_reference_leak
from kprobesim.bpf.verifier.reg import known_zero_reg
from kprobesim.bpf.verifier.reg_type import PTR_TO_CTX, SCALAR_VALUE, reg_type_str
from kprobesim.bpf.verifier.region import check_ptr_off_reg
from kprobesim.bpf.verifier.tnum import Tnum, tnum_in, tnum_range
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["check_ld_abs", "check_return_code"]

_SKB_TYPES = frozenset({"socket_filter", "sched_cls", "sched_act"})
_ONE = tnum_range(1, 1)
_RANGES: dict[str, Tnum] = dict.fromkeys(
    (
        "cgroup_skb",
        "cgroup_sock",
        "cgroup_sock_addr",
        "sock_ops",
        "cgroup_device",
        "cgroup_sysctl",
        "cgroup_sockopt",
        "sk_lookup",
    ),
    tnum_range(0, 1),
)


_BY_ATTACH: dict[tuple[str, str], Tnum] = {
    ("cgroup_skb", "cgroup_inet_egress"): tnum_range(0, 3),
    ("tracing", "trace_fentry"): Tnum(0, 0),
    ("tracing", "trace_fexit"): Tnum(0, 0),
    ("tracing", "trace_iter"): tnum_range(0, 1),
}
for _ip in "46":
    _BY_ATTACH["cgroup_sock_addr", f"cgroup_inet{_ip}_bind"] = tnum_range(0, 3)
    for _what in (f"udp{_ip}_recvmsg", f"inet{_ip}_getpeername", f"inet{_ip}_getsockname"):
        _BY_ATTACH["cgroup_sock_addr", f"cgroup_{_what}"] = _ONE


def check_return_code(env: "Env") -> None:
    """R0 must be a number that programs of this type may return."""
    frame = env.state.frames[0]
    reg = env.check_src(0)
    if env.is_pointer_value(0):
        env.reject(Errno.EACCES, "R0 leaks addr as return value")
    if frame.in_async_callback:
        if reg.type != SCALAR_VALUE:
            name = reg_type_str(reg.type)
            env.reject(Errno.EINVAL, f"In async callback the register R0 is not a known value ({name})")
        if not tnum_in(Tnum(0, 0), reg.var_off):
            reject_invalid_scalar(env, reg, Tnum(0, 0), "async callback")
        return
    if frame.subprogno:
        if reg.type != SCALAR_VALUE:
            name = reg_type_str(reg.type)
            env.reject(Errno.EINVAL, f"At subprogram exit the register R0 is not a scalar value ({name})")
        return
    attach = env.setup.attach_type
    allowed = _BY_ATTACH.get((env.prog_type, attach), _RANGES.get(env.prog_type))
    if allowed is None:
        return
    if reg.type != SCALAR_VALUE:
        name = reg_type_str(reg.type)
        env.reject(Errno.EINVAL, f"At program exit the register R0 is not a known value ({name})")
    if not tnum_in(allowed, reg.var_off):
        reject_invalid_scalar(env, reg, allowed, "program exit")


def check_ld_abs(env: "Env", insn: Insn) -> None:
    """``r0 = *(u32 *)skb[..]``: reads the packet by way of R6, and ends the program if there is no such byte."""
    mode = insn.code & 0xE0
    if env.prog_type not in _SKB_TYPES:
        env.reject(Errno.EINVAL, "BPF_LD_[ABS|IND] instructions not allowed for this program type")
    if insn.dst or insn.off or insn.code & 0x18 == 0x18 or (mode == Mode.ABS and insn.src):
        env.reject(Errno.EINVAL, "BPF_LD_[ABS|IND] uses reserved fields")
    env.check_src(6)
    check_reference_leak(env, "BPF_LD_[ABS|IND] cannot be mixed with socket references")
    if env.state.active_spin_lock:
        env.reject(Errno.EINVAL, "BPF_LD_[ABS|IND] cannot be used inside bpf_spin_lock-ed region")
    frame = env.frame
    if frame.values[6].type != PTR_TO_CTX:
        env.reject(Errno.EINVAL, "at the time of BPF_LD_ABS|IND R6 != pointer to skb")
    if mode == Mode.IND:
        env.check_src(insn.src)
    check_ptr_off_reg(env, frame.values[6], 6)
    env.clear_caller_saved(frame)
    frame.values[0] = env.unknown
    if env.state.curframe:
        env.log.scratched_regs |= 1
        if env.push_stack(env.insn_idx + 1, env.insn_idx) is None:
            env.reject_logged(Errno.EFAULT, "")
        frame.values[0] = known_zero_reg(SCALAR_VALUE)
        prepare_func_exit(env)
        env.insn_idx -= 1
