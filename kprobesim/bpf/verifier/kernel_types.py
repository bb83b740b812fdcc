"""The few kernel structs whose layout the verifier needs without the kernel's own type information.

A program may read the head of a map through the map's pointer; the kernel checks such reads against BTF. Layouts are
those of Linux 6.1 on x86-64. Follows kernel/bpf/verifier.c:check_ptr_to_map_access and btf.c:btf_struct_access.
"""

from typing import TYPE_CHECKING, NamedTuple

from kprobesim.bpf.verifier.kernel_btf import struct_access
from kprobesim.bpf.verifier.reg import Reg
from kprobesim.bpf.verifier.reg_type import MEM_PERCPU, MEM_USER, PTR_TO_BTF_ID, PTR_UNTRUSTED
from kprobesim.image.btf import COMPOSITE
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["check_map_struct_access", "check_struct_access"]


class Member(NamedTuple):
    """A member: its name, where it is, its size, and the struct that it points to.

    ``target`` is nothing for a number and ``void`` for a pointer to no struct, which is a number once it is loaded.
    """

    name: str
    off: int
    size: int
    target: str = ""


_BPF_MAP = (
    Member("ops", 0, 8, "bpf_map_ops"),
    Member("inner_map_meta", 8, 8, "bpf_map"),
    Member("security", 16, 8, "void"),
    Member("map_type", 24, 4),
    Member("key_size", 28, 4),
    Member("value_size", 32, 4),
    Member("max_entries", 36, 4),
    Member("map_extra", 40, 8),
    Member("map_flags", 48, 4),
    Member("spin_lock_off", 52, 4),
    Member("kptr_off_tab", 56, 8, "bpf_map_value_off"),
    Member("timer_off", 64, 4),
    Member("id", 68, 4),
    Member("numa_node", 72, 4),
)
_HEADS = frozenset(
    {
        "bpf_array",
        "bpf_htab",
        "bpf_stack_map",
        "lpm_trie",
        "bpf_dtab",
        "bpf_stab",
        "bpf_shtab",
        "bpf_cpu_map",
        "xsk_map",
        "bpf_cgroup_storage_map",
        "reuseport_array",
        "bpf_queue_stack",
        "bpf_local_storage_map",
        "bpf_ringbuf_map",
        "bpf_bloom_filter",
        "bpf_map",
    }
)


def _walk(env: "Env", struct: str, off: int, size: int) -> Reg:
    """What a load of ``size`` bytes at ``off`` gives (btf_struct_walk); a number, for structs not known here."""
    btf = env.setup.btf
    found = btf.find(struct, *COMPOSITE) if btf is not None else None
    if btf is not None and found is not None:
        return struct_access(env, btf, found, off, size)
    if struct not in _HEADS:
        return env.unknown
    for member in _BPF_MAP:
        if not member.off <= off < member.off + member.size:
            continue
        if not member.target:
            if off + size > member.off + member.size:
                message = f"access beyond the end of member {member.name} (mend:{member.off + member.size})"
                env.reject(Errno.EACCES, f"{message} in struct bpf_map with off {off} size {size}")
            return env.unknown
        if off != member.off or size != 8:
            message = f"cannot access ptr member {member.name} with moff {member.off} in struct bpf_map"
            env.reject(Errno.EACCES, f"{message} with off {off} size {size}")
        return env.unknown if member.target == "void" else env.pointer(PTR_TO_BTF_ID, btf=member.target)
    return env.unknown


def check_map_struct_access(env: "Env", reg: Reg, regno: int, off: int, size: int, write: bool) -> Reg:
    """A load from the map itself rather than from a value."""
    bpf_map = reg.map
    assert bpf_map is not None
    name = bpf_map.struct
    if not name:
        env.reject(Errno.ENOTSUPP, f"map_ptr access not supported for map type {bpf_map.type_id}")
    if env.setup.unpriv:
        env.reject(Errno.EPERM, f"{name} access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN")
    if off < 0:
        env.reject(Errno.EACCES, f"R{regno} is {name} invalid negative access: off={off}")
    if write:
        env.reject(Errno.EACCES, f"only read from {name} is supported")
    return _walk(env, name, off, size)


def check_struct_access(env: "Env", reg: Reg, regno: int, off: int, size: int, write: bool) -> Reg:
    """A load through a pointer to a kernel struct (check_ptr_to_btf_access)."""
    name = reg.btf
    if off < 0:
        env.reject(Errno.EACCES, f"R{regno} is ptr_{name} invalid negative access: off={off}")
    if not reg.var_off.is_const or reg.var_off.value:
        message = f"R{regno} is ptr_{name} invalid variable offset: off={off}, var_off={reg.var_off}"
        env.reject(Errno.EACCES, message)
    if reg.type & MEM_USER:
        env.reject(Errno.EACCES, f"R{regno} is ptr_{name} access user memory: off={off}")
    if reg.type & MEM_PERCPU:
        env.reject(Errno.EACCES, f"R{regno} is ptr_{name} access percpu memory: off={off}")
    if write:
        env.reject(Errno.EACCES, "only read is supported")
    found = _walk(env, name, off, size)
    if reg.type & PTR_UNTRUSTED and found.type & 0xFF == PTR_TO_BTF_ID:
        found = found.with_(type=found.type | PTR_UNTRUSTED)
    return found
