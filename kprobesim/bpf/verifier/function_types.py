"""A function out of a program's types, in the verifier's words.

Follows Linux kernel/bpf/btf.c: btf_get_prog_ctx_type, btf_resolve_size, and the parts of btf_check_func_arg_match and
btf_prepare_func_args that look at types only. What a context is called: include/linux/bpf_types.h.
"""

from kprobesim.bpf.verifier.functions import CTX, NUMBER, FunctionType, Parameter, Unsized, Unsupported
from kprobesim.image.btf import COMPOSITE, MAX_DEPTH, POINTER_SIZE, SIZED, Btf, BtfKind, BtfType

__all__ = ["NUMBERS", "function_type"]

NUMBERS = (BtfKind.INT, BtfKind.ENUM, BtfKind.ENUM64)
_LARGEST = (1 << 32) - 1
_NAMES = {
    "__sk_buff": """
        socket_filter sched_cls sched_act cgroup_skb lwt_in lwt_out lwt_xmit lwt_seg6local sk_skb flow_dissector
    """,
    "xdp_md": "xdp",
    "bpf_sock": "cgroup_sock",
    "bpf_sock_addr": "cgroup_sock_addr",
    "bpf_sock_ops": "sock_ops",
    "sk_msg_md": "sk_msg",
    "pt_regs": "kprobe",
    "bpf_user_pt_regs_t": "kprobe",
    "bpf_perf_event_data": "perf_event",
    "bpf_raw_tracepoint_args": "raw_tracepoint raw_tracepoint_writable",
    "bpf_cgroup_dev_ctx": "cgroup_device",
    "bpf_sysctl": "cgroup_sysctl",
    "bpf_sockopt": "cgroup_sockopt",
    "sk_reuseport_md": "sk_reuseport",
    "bpf_sk_lookup": "sk_lookup",
    # These know their context as a bare pointer, which has no name; neither has this struct.
    "": "tracing struct_ops ext lsm syscall",
}
_CONTEXTS = frozenset((name, prog_type) for name, types in _NAMES.items() for prog_type in types.split())


def kind_text(entry: BtfType) -> str:
    """A type's kind as the kernel's messages name it (btf_type_str)."""
    return "UNKNOWN" if entry.kind is BtfKind.VOID else entry.kind.name


def function_type(btf: Btf, function: BtfType, prog_type: str) -> FunctionType:
    """A function.

    Args:
        btf: the program's types.
        function: its FUNC, of a FUNC_PROTO.
        prog_type: out of PROG_TYPES; it says what a context is.

    Raises:
        ImageError: types that refer to themselves.
    """
    prototype = btf.type(function.target)
    return FunctionType(
        function.name,
        function.linkage == 1,
        tuple(_parameter(btf, parameter.type_id, prog_type) for parameter in prototype.parameters),
        btf.strip(prototype.target).kind in NUMBERS,
        function.id,
    )


def _parameter(btf: Btf, type_id: int, prog_type: str) -> Parameter:
    entry = btf.strip(type_id)
    if entry.kind in NUMBERS:
        return NUMBER
    if entry.kind is not BtfKind.PTR:
        return Unsupported(kind_text(entry))
    target = btf.strip(entry.target)
    if target.kind in COMPOSITE and (target.name, prog_type) in _CONTEXTS:
        return CTX
    size = _resolve_size(btf, target)
    return Unsized(kind_text(target), target.name if target.id else "") if size is None else size


def _resolve_size(btf: Btf, entry: BtfType) -> int | None:
    """Bytes of what is pointed to; None for what has no size."""
    count = 1
    for _ in range(MAX_DEPTH):
        if entry.kind is not BtfKind.ARRAY:
            break
        count *= entry.count
        if count > _LARGEST:
            return None
        entry = btf.strip(entry.target)
    if entry.kind is BtfKind.DATASEC or entry.kind not in (*SIZED, BtfKind.PTR):
        return None
    size = count * (POINTER_SIZE if entry.kind is BtfKind.PTR else entry.size)
    return size if size <= _LARGEST else None
