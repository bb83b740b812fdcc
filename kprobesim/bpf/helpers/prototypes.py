"""Prototypes of helper functions as data: what each takes and gives, and which program types may call it.

Those of tracing programs and those of all programs are here, the rest in ``prototypes_net``. Source: ``struct
bpf_func_proto`` in Linux 6.1 kernel/bpf/helpers.c, kernel/trace/bpf_trace.c, kernel/bpf/ringbuf.c,
kernel/bpf/stackmap.c and kernel/bpf/bpf_lsm.c; the allow-lists are the ``*_func_proto`` functions there.
"""

from functools import cache
from typing import NamedTuple

from kprobesim.bpf.helper_names import HELPER_IDS
from kprobesim.bpf.helpers.prototypes_net import ATTACH_ONLY, NET_ALLOWED, NET_TABLE, NO_BASE, OVERRIDES

__all__ = ["PROTOTYPES", "Prototype", "prototype_for"]


class Prototype(NamedTuple):
    """One helper's prototype.

    Attributes:
        id: its number.
        name: without ``bpf_``.
        ret: what it gives, one of the words below, with ``?`` if it may be NULL.
        args: what it takes, likewise.
        gpl_only: whether the licence must be GPL-compatible.
        pkt_access: whether it may be given pointers into a packet.
        might_sleep: whether only sleepable programs may call it.
        changes_packet: whether pointers into the packet are void after it.

    Words for arguments: ``map`` a map; ``key``, ``value``, ``value:out`` memory of the size that the map says;
    ``mem`` memory, ``mem:in`` only read, ``mem:out`` only written, ``mem:write`` both, followed by its ``size`` or
    ``size0`` (may be 0); ``u64:out``, ``u32:out`` aligned bytes; ``fixed:N`` N bytes; ``alloc`` memory that another
    helper gave; ``alloc_size`` a constant; ``str`` a constant string; ``ctx``, ``stack``, ``func``, ``timer``,
    ``spin_lock``, ``kptr``, ``percpu``; ``dynptr`` with a kind after a colon; ``socket``, ``sock_common``,
    ``btf_sock_common``; ``btf:NAME`` a kernel struct; ``any`` any number. ``!`` after a word: the helper releases it.
    """

    id: int
    name: str
    ret: str
    args: tuple[str, ...]
    gpl_only: bool = False
    pkt_access: bool = False
    might_sleep: bool = False
    changes_packet: bool = False


# name; flags g GPL only, p packet access, s may sleep, c changes the packet, or -; result; arguments
_TABLE = """
    map_lookup_elem             p  value?          map key
    map_update_elem             p  int             map key value any
    map_delete_elem             p  int             map key
    map_push_elem               p  int             map value any
    map_pop_elem                -  int             map value:out
    map_peek_elem               -  int             map value:out
    map_lookup_percpu_elem      p  value?          map key any
    probe_read                  g  int             mem:out size0 any
    probe_read_str              g  int             mem:out size0 any
    probe_read_user             g  int             mem:out size0 any
    probe_read_kernel           g  int             mem:out size0 any
    probe_read_user_str         g  int             mem:out size0 any
    probe_read_kernel_str       g  int             mem:out size0 any
    probe_write_user            g  int             any mem:in size
    ktime_get_ns                -  int
    ktime_get_boot_ns           -  int
    ktime_get_coarse_ns         -  int
    ktime_get_tai_ns            -  int
    jiffies64                   -  int
    trace_printk                g  int             mem:in size
    trace_vprintk               g  int             mem:in size mem:in? size0
    get_prandom_u32             -  int
    get_smp_processor_id        -  int
    get_numa_node_id            -  int
    tail_call                   -  void            ctx map any
    get_current_pid_tgid        -  int
    get_current_uid_gid         -  int
    get_current_comm            -  int             mem:out size
    get_current_task            g  int
    get_current_task_btf        g  btf:task_struct
    task_pt_regs                g  btf:pt_regs     btf:task_struct
    get_current_cgroup_id       -  int
    get_current_ancestor_cgroup_id - int           any
    current_task_under_cgroup   -  int             map any
    get_ns_current_pid_tgid     -  int             any any mem:out size
    perf_event_read             g  int             map any
    perf_event_read_value       g  int             map any mem:out size
    perf_event_output           g  int             ctx map any mem:in size0
    perf_prog_read_value        g  int             ctx mem:out size
    read_branch_records         g  int             ctx mem? size0 any
    get_branch_snapshot         g  int             mem:out size0
    get_stackid                 g  int             ctx map any
    get_stack                   g  int             ctx mem:out size0 any
    get_task_stack              -  int             btf:task_struct mem:out size0 any
    send_signal                 -  int             any
    send_signal_thread          -  int             any
    override_return             g  int             ctx any
    get_func_ip                 g  int             ctx
    get_attach_cookie           -  int             ctx
    copy_from_user              s  int             mem:out size0 any
    copy_from_user_task         gs int             mem:out size0 any btf:task_struct any
    snprintf                    g  int             mem? size0 str mem:in? size0
    snprintf_btf                -  int             mem size mem:in size any
    strtol                      -  int             mem:in size any u64:out
    strtoul                     -  int             mem:in size any u64:out
    strncmp                     -  int             mem size str
    per_cpu_ptr                 -  percpu?         percpu any
    this_cpu_ptr                -  percpu          percpu
    spin_lock                   -  void            spin_lock
    spin_unlock                 -  void            spin_lock
    timer_init                  g  int             timer map any
    timer_set_callback          g  int             timer func
    timer_start                 g  int             timer any any
    timer_cancel                g  int             timer
    for_each_map_elem           -  int             map func stack? any
    loop                        -  int             any func stack? any
    find_vma                    -  int             btf:task_struct any func stack? any
    kptr_xchg                   -  btf:?           kptr btf:?!
    ringbuf_output              -  int             map mem:in size0 any
    ringbuf_reserve             -  alloc?          map alloc_size any
    ringbuf_submit              -  void            alloc! any
    ringbuf_discard             -  void            alloc! any
    ringbuf_query               -  int             map any
    ringbuf_reserve_dynptr      -  int             map any any dynptr:ringbuf:out
    ringbuf_submit_dynptr       -  void            dynptr:ringbuf! any
    ringbuf_discard_dynptr      -  void            dynptr:ringbuf! any
    user_ringbuf_drain          -  int             map func stack? any
    dynptr_from_mem             -  int             mem:out size0 any dynptr:local:out
    dynptr_read                 -  int             mem:out size0 dynptr any any
    dynptr_write                -  int             dynptr any mem:in size0 any
    dynptr_data                 -  mem?            dynptr any alloc_size
    task_storage_get            -  value?          map btf:task_struct value? any
    task_storage_delete         -  int             map btf:task_struct
    skb_output                  g  int             btf:sk_buff map any mem:in size0
    xdp_output                  g  int             btf:xdp_buff map any mem:in size0
    sock_from_file              -  btf:socket?     btf:file
    d_path                      -  int             btf:path mem size0
    get_func_arg                -  int             ctx any u64:out
    get_func_ret                -  int             ctx u64:out
    get_func_arg_cnt            -  int             ctx
    inode_storage_get           -  value?          map btf:inode value? any
    inode_storage_delete        -  int             map btf:inode
    bprm_opts_set               -  int             btf:linux_binprm any
    ima_inode_hash              s  int             btf:inode mem:out size
    ima_file_hash               s  int             btf:file mem:out size
"""

_BASE = """
    map_lookup_elem map_update_elem map_delete_elem map_push_elem map_pop_elem map_peek_elem map_lookup_percpu_elem
    get_prandom_u32 get_smp_processor_id get_numa_node_id tail_call ktime_get_ns ktime_get_boot_ns ktime_get_tai_ns
    ringbuf_output ringbuf_reserve ringbuf_submit ringbuf_discard ringbuf_query strncmp strtol strtoul
"""
_BASE_CAPABLE = """
    spin_lock spin_unlock jiffies64 per_cpu_ptr this_cpu_ptr timer_init timer_set_callback timer_start timer_cancel
    kptr_xchg for_each_map_elem loop user_ringbuf_drain ringbuf_reserve_dynptr ringbuf_submit_dynptr
    ringbuf_discard_dynptr dynptr_from_mem dynptr_read dynptr_write dynptr_data
    trace_printk get_current_task get_current_task_btf probe_read_user probe_read_kernel probe_read_user_str
    probe_read_kernel_str snprintf_btf snprintf task_pt_regs trace_vprintk
"""
_TRACING = """
    get_current_pid_tgid get_current_uid_gid get_current_comm perf_event_read current_task_under_cgroup
    probe_write_user probe_read probe_read_str get_current_cgroup_id get_current_ancestor_cgroup_id send_signal
    send_signal_thread perf_event_read_value get_ns_current_pid_tgid get_task_stack copy_from_user copy_from_user_task
    task_storage_get task_storage_delete get_func_ip get_branch_snapshot find_vma
    perf_event_output get_stackid get_stack
"""
_TRACING_BTF = f"""
    {_TRACING} skb_output xdp_output sock_from_file d_path get_func_arg get_func_ret get_func_arg_cnt
    get_attach_cookie sk_storage_get sk_storage_delete get_socket_cookie xdp_get_buff_len skc_to_tcp6_sock
    skc_to_tcp_sock skc_to_tcp_timewait_sock skc_to_tcp_request_sock skc_to_udp6_sock skc_to_unix_sock
    skc_to_mptcp_sock
"""
_OF_TYPE = NET_ALLOWED | {
    "kprobe": f"{_TRACING} get_attach_cookie override_return",
    "tracepoint": f"{_TRACING} get_attach_cookie",
    "raw_tracepoint": _TRACING,
    "raw_tracepoint_writable": _TRACING,
    "perf_event": f"{_TRACING} get_attach_cookie perf_prog_read_value read_branch_records",
    "tracing": _TRACING_BTF,
    "lsm": f"""
        {_TRACING_BTF} inode_storage_get inode_storage_delete bprm_opts_set ima_inode_hash ima_file_hash
    """,
}
_RAW = frozenset({"raw_tracepoint", "raw_tracepoint_writable", "tracing", "lsm"})
_TRAMPOLINES = frozenset({"", "trace_fentry", "trace_fexit", "modify_return", "lsm_mac"})
_NEEDS_TRAMPOLINE = frozenset({"get_func_arg", "get_func_ret", "get_func_arg_cnt", "get_attach_cookie"})


def _parse(line: str) -> Prototype:
    name, flags, ret, *args = line.split()
    return Prototype(
        HELPER_IDS[name],
        name,
        ret,
        tuple(args),
        gpl_only="g" in flags,
        pkt_access="p" in flags,
        might_sleep="s" in flags,
        changes_packet="c" in flags,
    )


PROTOTYPES = {proto.id: proto for proto in map(_parse, filter(None, map(str.strip, (_TABLE + NET_TABLE).splitlines())))}


@cache
def _allowed(prog_type: str, capable: bool) -> frozenset[int]:
    base = "" if prog_type in NO_BASE else f"{_BASE} {_BASE_CAPABLE if capable else ''}"
    return frozenset(HELPER_IDS[name] for name in f"{base} {_OF_TYPE.get(prog_type, '')}".split())


def _overridden(proto: Prototype, prog_type: str, attach_type: str) -> Prototype:
    changes = OVERRIDES.get((prog_type, proto.name))
    if changes is not None:
        return proto._replace(**changes)
    if proto.name == "get_stack" and prog_type in _RAW:
        return proto._replace(args=("ctx", "mem:in", "size0", "any"))
    if proto.name == "get_func_ip" and attach_type == "trace_kprobe_multi":
        return proto._replace(gpl_only=False)
    if proto.name == "get_stackid" and prog_type == "perf_event":
        return proto._replace(gpl_only=False)
    if prog_type == "tracing" and proto.name in ("sk_storage_get", "sk_storage_delete"):
        return proto._replace(args=("map", "btf:sock_common", *proto.args[2:]))
    if prog_type in ("tracing", "lsm") and proto.name == "get_socket_cookie":
        return proto._replace(args=("btf_sock_common",))
    if prog_type in ("tracing", "lsm") and proto.name == "xdp_get_buff_len":
        return proto._replace(args=("btf:xdp_buff",))
    return proto


def prototype_for(
    number: int, prog_type: str, capable: bool = True, attach_type: str = "", *, kprobe_override: bool = False
) -> Prototype | None:
    """The prototype of helper ``number`` for programs of a type (PROG_TYPES); None where they may not call it.

    Args:
        number: the helper's id.
        prog_type: a name out of PROG_TYPES.
        capable: whether the user has CAP_BPF and CAP_PERFMON.
        attach_type: where the program will be attached, as bpftool names it; empty for nothing special.
        kprobe_override: whether the kernel was built with CONFIG_BPF_KPROBE_OVERRIDE.
    """
    if kprobe_override and prog_type == "kprobe" and number == HELPER_IDS["override_return"]:
        return PROTOTYPES[number]
    if number not in _allowed(prog_type, capable):
        return None
    proto = PROTOTYPES[number]
    may = ATTACH_ONLY.get(proto.name)
    if may is not None and not may(prog_type, attach_type):
        return None
    if prog_type == "tracing" and proto.name in _NEEDS_TRAMPOLINE and attach_type not in _TRAMPOLINES:
        return None
    return _overridden(proto, prog_type, attach_type)
