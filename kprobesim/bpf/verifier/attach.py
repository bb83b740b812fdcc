"""Where a program says that it will be attached: what bpf(BPF_PROG_LOAD) makes of that before the program is looked at.

Follows Linux kernel/bpf/syscall.c: bpf_prog_load_fixup_attach_type, bpf_prog_load_check_attach, and the beginning of
kernel/bpf/verifier.c:check_attach_btf_id. Attach types are named as libbpf and bpftool name them, in lower case and
without ``BPF_``; no name is attach type 0.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.verifier.kernel_btf import FunctionFacts, TracedFunction, find_traced_function
from kprobesim.image.btf import COMPOSITE, Btf
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["attach_type_fits", "check_attach", "distill_func_proto", "usual_attach_type"]

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
_ON_FUNCTIONS = frozenset({"trace_fentry", "trace_fexit", "modify_return"})
_MOST_ARGUMENTS = 12
_LARGEST_ARGUMENT = 16
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
    if env.setup.attach_type in _ON_FUNCTIONS:
        distill_func_proto(env, btf, env.traced)
        if env.setup.function_facts is not None:
            _check_function(env, env.setup.function_facts(name))


def distill_func_proto(env: "Env", btf: Btf, function: TracedFunction) -> None:
    """Whether a trampoline can save such arguments and such a result (btfdistill_func_proto)."""
    name, parameters = function.name, function.parameters
    if len(parameters) > _MOST_ARGUMENTS:
        env.reject(Errno.EINVAL, f"The function {name} has {len(parameters)} arguments. Too many.")
    result = btf.strip(function.result)
    if result.kind in COMPOSITE:
        env.reject(Errno.EINVAL, f"The function {name} return type {result.kind.name} is unsupported.")
    for number, parameter in enumerate(parameters):
        if not parameter.type_id and number == len(parameters) - 1:
            env.reject(Errno.EINVAL, f"The function {name} with variable args is unsupported.")
        if btf.size_of(parameter.type_id) > _LARGEST_ARGUMENT:
            kind = btf.strip(parameter.type_id).kind.name
            env.reject(Errno.EINVAL, f"The function {name} arg{number} type {kind} is unsupported.")


def _check_function(env: "Env", facts: FunctionFacts | None) -> None:
    """What depends on the kernel's code and not on its types (the end of bpf_check_attach_target)."""
    name, setup = env.setup.attach_func, env.setup
    if facts is None:
        env.reject(Errno.ENOENT, f"The address of function {name} cannot be found")
    if setup.sleepable and not facts.error_injection:
        env.reject(Errno.EINVAL, f"{name} is not sleepable")
    modifiable = facts.error_injection or name.startswith("security_")
    if not setup.sleepable and setup.attach_type == "modify_return" and not modifiable:
        env.reject(Errno.EINVAL, f"{name}() is not modifiable")
