"""Where a program says that it will be attached: what bpf(BPF_PROG_LOAD) makes of that before the program is looked at.

Follows Linux kernel/bpf/syscall.c: bpf_prog_load_fixup_attach_type, bpf_prog_load_check_attach, and the beginning of
kernel/bpf/verifier.c:check_attach_btf_id. Attach types are named as libbpf and bpftool name them, in lower case and
without ``BPF_``; no name is attach type 0.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.verifier.kernel_btf import find_traced_function
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["attach_type_fits", "check_attach", "usual_attach_type"]

_BOTH_IP = ("4", "6")
_FITTING: dict[str, frozenset[str]] = {
    "cgroup_sock": frozenset(
        {
            "cgroup_inet_sock_create",
            "cgroup_inet_sock_release",
            "cgroup_inet4_post_bind",
            "cgroup_inet6_post_bind",
        }
    ),
    "cgroup_sock_addr": frozenset(
        {f"cgroup_inet{ip}_{what}" for ip in _BOTH_IP for what in ("bind", "connect", "getpeername", "getsockname")}
        | {f"cgroup_udp{ip}_{what}" for ip in _BOTH_IP for what in ("sendmsg", "recvmsg")}
    ),
    "cgroup_skb": frozenset({"", "cgroup_inet_ingress", "cgroup_inet_egress"}),
    "cgroup_sockopt": frozenset({"cgroup_setsockopt", "cgroup_getsockopt"}),
    "sk_lookup": frozenset({"sk_lookup"}),
    "sk_reuseport": frozenset({"sk_reuseport_select", "sk_reuseport_select_or_migrate"}),
    "syscall": frozenset({""}),
    "ext": frozenset({""}),
}
_USUAL = {
    "cgroup_sock": "cgroup_inet_sock_create",
    "sk_reuseport": "sk_reuseport_select",
    "sk_lookup": "sk_lookup",
    "tracing": "trace_fentry",
    "lsm": "lsm_mac",
}
_TRACERS = frozenset({"tracing", "lsm"})
_SLEEPERS = frozenset({"tracing", "lsm", "kprobe"})


def usual_attach_type(prog_type: str, attach_type: str) -> str:
    """The attach type, or for none the one that programs of this type have then."""
    return attach_type or _USUAL.get(prog_type, "")


def attach_type_fits(prog_type: str, attach_type: str) -> bool:
    """Whether programs of this type may be attached there."""
    fitting = _FITTING.get(prog_type)
    return fitting is None or attach_type in fitting


def check_attach(env: "Env") -> None:
    """Whether the program may sleep, and whether it names the function that it will be attached to."""
    sleepable = env.setup.sleepable
    if env.prog_type == "syscall":
        if not sleepable:
            env.reject(Errno.EINVAL, "Syscall programs can only be sleepable")
        return
    if sleepable and env.prog_type not in _SLEEPERS:
        said = "Only fentry/fexit/fmod_ret, lsm, and kprobe/uprobe programs can be sleepable"
        env.reject(Errno.EINVAL, said)
    if sleepable and env.setup.attach_type == "lsm_cgroup":
        env.reject(Errno.EINVAL, "BPF_LSM_CGROUP programs cannot be sleepable")
    if env.prog_type in _TRACERS:
        _find_target(env)


def _find_target(env: "Env") -> None:
    """The function that the program names must be one (the beginning of bpf_check_attach_target)."""
    name, btf = env.setup.attach_func, env.setup.btf
    if not name or btf is None:
        env.reject(Errno.EINVAL, "Tracing programs must provide btf_id")
    env.traced = find_traced_function(btf, name, env.setup.attach_type)
    if env.traced is None:
        what = "typedef" if env.setup.attach_type == "trace_raw_tp" else "function"
        env.reject(Errno.EINVAL, f"attach_btf_id 0 is not a {what}")
