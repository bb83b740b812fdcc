"""Which maps go with which helpers.

Follows Linux kernel/bpf/verifier.c: check_map_func_compatibility, check_map_prog_compatibility.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.helper_names import HELPER_IDS, helper_text
from kprobesim.bpf.verifier.map_meta import MapMeta
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["TRACING_TYPES", "check_map_func_compatibility", "check_map_prog_compatibility"]

TRACING_TYPES = frozenset({"kprobe", "tracepoint", "perf_event", "raw_tracepoint", "raw_tracepoint_writable"})


def _ids(names: str) -> frozenset[int]:
    return frozenset(HELPER_IDS[name] for name in names.split())


_STORAGE = ("sk_storage", "inode_storage", "task_storage")
_OF_MAP = {
    "prog_array": _ids("tail_call"),
    "perf_event_array": _ids("perf_event_read perf_event_output skb_output perf_event_read_value xdp_output"),
    "ringbuf": _ids(
        "ringbuf_output ringbuf_reserve ringbuf_query ringbuf_reserve_dynptr ringbuf_submit_dynptr "
        "ringbuf_discard_dynptr"
    ),
    "user_ringbuf": _ids("user_ringbuf_drain"),
    "stack_trace": _ids("get_stackid"),
    "cgroup_array": _ids("skb_under_cgroup current_task_under_cgroup"),
    "cgroup_storage": _ids("get_local_storage"),
    "percpu_cgroup_storage": _ids("get_local_storage"),
    "devmap": _ids("redirect_map map_lookup_elem"),
    "devmap_hash": _ids("redirect_map map_lookup_elem"),
    "cpumap": _ids("redirect_map"),
    "xskmap": _ids("redirect_map map_lookup_elem"),
    "array_of_maps": _ids("map_lookup_elem"),
    "hash_of_maps": _ids("map_lookup_elem"),
    "sockmap": _ids("sk_redirect_map sock_map_update msg_redirect_map sk_select_reuseport map_lookup_elem"),
    "sockhash": _ids("sk_redirect_hash sock_hash_update msg_redirect_hash sk_select_reuseport map_lookup_elem"),
    "reuseport_sockarray": _ids("sk_select_reuseport"),
    "queue": _ids("map_peek_elem map_pop_elem map_push_elem"),
    "stack": _ids("map_peek_elem map_pop_elem map_push_elem"),
    "bloom_filter": _ids("map_peek_elem map_push_elem"),
} | {name: _ids(f"{name}_get {name}_delete") for name in _STORAGE}

_PERF, _RING = ("perf_event_array",), ("ringbuf",)
_OF_HELPER: dict[int, tuple[str, ...]] = {
    HELPER_IDS[name]: maps
    for names, maps in (
        ("tail_call", ("prog_array",)),
        ("perf_event_read perf_event_output perf_event_read_value skb_output xdp_output", _PERF),
        ("ringbuf_output ringbuf_reserve ringbuf_query", _RING),
        ("ringbuf_reserve_dynptr ringbuf_submit_dynptr ringbuf_discard_dynptr", _RING),
        ("user_ringbuf_drain", ("user_ringbuf",)),
        ("get_stackid", ("stack_trace",)),
        ("current_task_under_cgroup skb_under_cgroup", ("cgroup_array",)),
        ("redirect_map", ("devmap", "devmap_hash", "cpumap", "xskmap")),
        ("sk_redirect_map msg_redirect_map sock_map_update", ("sockmap",)),
        ("sk_redirect_hash msg_redirect_hash sock_hash_update", ("sockhash",)),
        ("get_local_storage", ("cgroup_storage", "percpu_cgroup_storage")),
        ("sk_select_reuseport", ("reuseport_sockarray", "sockmap", "sockhash")),
        ("map_pop_elem", ("queue", "stack")),
        ("map_peek_elem map_push_elem", ("queue", "stack", "bloom_filter")),
        ("map_lookup_percpu_elem", ("percpu_array", "percpu_hash", "lru_percpu_hash")),
        ("sk_storage_get sk_storage_delete", ("sk_storage",)),
        ("inode_storage_get inode_storage_delete", ("inode_storage",)),
        ("task_storage_get task_storage_delete", ("task_storage",)),
    )
    for name in names.split()
}
_SOCK_WRITERS = _ids("map_update_elem map_delete_elem")
_SOCK_PROGS = frozenset(
    {"socket_filter", "sched_cls", "sched_act", "xdp", "sk_reuseport", "flow_dissector", "sk_lookup"}
)
_TAIL_CALL = HELPER_IDS["tail_call"]
_FOR_SLEEPERS = frozenset(
    [
        "hash",
        "lru_hash",
        "array",
        "percpu_hash",
        "percpu_array",
        "lru_percpu_hash",
        "array_of_maps",
        "hash_of_maps",
        "ringbuf",
        "user_ringbuf",
        "inode_storage",
        "sk_storage",
        "task_storage",
    ]
)


def _may_update_sockmap(env: "Env", number: int) -> bool:
    if number not in _SOCK_WRITERS:
        return False
    if env.prog_type in _SOCK_PROGS or (env.prog_type == "sock_ops" and number == HELPER_IDS["map_delete_elem"]):
        return True
    env.log.write("cannot update sockmap in this context\n")
    return False


def check_map_func_compatibility(env: "Env", bpf_map: MapMeta | None, number: int) -> None:
    """The helper must be one for this kind of map, and the map one for this helper."""
    if bpf_map is None:
        return
    kind = bpf_map.type
    helpers = _OF_MAP.get(kind)
    ok = helpers is None or number in helpers
    if not ok and kind in ("sockmap", "sockhash"):
        ok = _may_update_sockmap(env, number)
    maps = _OF_HELPER.get(number)
    if not ok or (maps is not None and kind not in maps):
        env.reject(Errno.EINVAL, f"cannot pass map_type {bpf_map.type_id} into func {helper_text(number)}")
    if number == _TAIL_CALL and len(env.subprogs) > 1 and not env.setup.jit:
        env.reject(Errno.EINVAL, "tail_calls are not allowed in non-JITed programs with bpf-to-bpf calls")


def check_map_prog_compatibility(env: "Env", bpf_map: MapMeta) -> None:
    """Programs of this type may use such a map at all."""
    tracing = env.prog_type in TRACING_TYPES
    if bpf_map.spin_lock_off is not None:
        if env.prog_type == "socket_filter":
            env.reject(Errno.EINVAL, "socket filter progs cannot use bpf_spin_lock yet")
        if tracing:
            env.reject(Errno.EINVAL, "tracing progs cannot use bpf_spin_lock yet")
        if env.setup.sleepable:
            env.reject(Errno.EINVAL, "sleepable progs cannot use bpf_spin_lock yet")
    if bpf_map.timer_off is not None and tracing:
        env.reject(Errno.EINVAL, "tracing progs cannot use bpf_timer yet")
    if bpf_map.type == "struct_ops":
        env.reject(Errno.EINVAL, "bpf_struct_ops map cannot be used in prog")
    if env.setup.sleepable and bpf_map.type not in _FOR_SLEEPERS:
        env.reject(Errno.EINVAL, "Sleepable programs can only use array, hash, and ringbuf maps")
