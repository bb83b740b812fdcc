"""Types of registers and stack slots, and the names that the log gives them.

A type is a base type plus flags, as ``enum bpf_reg_type`` and ``enum bpf_type_flag`` of Linux include/linux/bpf.h have
it. They are plain ints because every instruction compares some.
"""

__all__ = [
    "CONST_PTR_TO_MAP",
    "DYNPTR_TYPE_LOCAL",
    "DYNPTR_TYPE_RINGBUF",
    "MEM_ALIGNED",
    "MEM_ALLOC",
    "MEM_FIXED_SIZE",
    "MEM_PERCPU",
    "MEM_RDONLY",
    "MEM_UNINIT",
    "MEM_USER",
    "MEM_WRITE",
    "NOT_INIT",
    "OBJ_RELEASE",
    "PTR_MAYBE_NULL",
    "PTR_TO_BTF_ID",
    "PTR_TO_BUF",
    "PTR_TO_CTX",
    "PTR_TO_DYNPTR",
    "PTR_TO_FLOW_KEYS",
    "PTR_TO_FUNC",
    "PTR_TO_MAP_KEY",
    "PTR_TO_MAP_VALUE",
    "PTR_TO_MEM",
    "PTR_TO_PACKET",
    "PTR_TO_PACKET_END",
    "PTR_TO_PACKET_META",
    "PTR_TO_SOCKET",
    "PTR_TO_SOCK_COMMON",
    "PTR_TO_STACK",
    "PTR_TO_TCP_SOCK",
    "PTR_TO_TP_BUFFER",
    "PTR_TO_XDP_SOCK",
    "PTR_UNTRUSTED",
    "REFCOUNTED_OR_NULL",
    "SCALAR_VALUE",
    "SK_POINTERS",
    "SPILLABLE",
    "base_type",
    "reg_type_str",
    "type_is_pkt_pointer",
]

NOT_INIT = 0
SCALAR_VALUE = 1
PTR_TO_CTX = 2
CONST_PTR_TO_MAP = 3
PTR_TO_MAP_VALUE = 4
PTR_TO_MAP_KEY = 5
PTR_TO_STACK = 6
PTR_TO_PACKET_META = 7
PTR_TO_PACKET = 8
PTR_TO_PACKET_END = 9
PTR_TO_FLOW_KEYS = 10
PTR_TO_SOCKET = 11
PTR_TO_SOCK_COMMON = 12
PTR_TO_TCP_SOCK = 13
PTR_TO_TP_BUFFER = 14
PTR_TO_XDP_SOCK = 15
PTR_TO_BTF_ID = 16
PTR_TO_MEM = 17
PTR_TO_BUF = 18
PTR_TO_FUNC = 19
PTR_TO_DYNPTR = 20

_BASE = 0xFF
PTR_MAYBE_NULL = 1 << 8
MEM_RDONLY = 1 << 9
MEM_ALLOC = 1 << 10
MEM_USER = 1 << 11
MEM_PERCPU = 1 << 12
OBJ_RELEASE = 1 << 13
PTR_UNTRUSTED = 1 << 14
MEM_UNINIT = 1 << 15
DYNPTR_TYPE_LOCAL = 1 << 16
DYNPTR_TYPE_RINGBUF = 1 << 17
MEM_FIXED_SIZE = 1 << 18
MEM_ALIGNED = 1 << 25
MEM_WRITE = 1 << 26

_NAMES = (
    "?",
    "scalar",
    "ctx",
    "map_ptr",
    "map_value",
    "map_key",
    "fp",
    "pkt_meta",
    "pkt",
    "pkt_end",
    "flow_keys",
    "sock",
    "sock_common",
    "tcp_sock",
    "tp_buffer",
    "xdp_sock",
    "ptr_",
    "mem",
    "buf",
    "func",
    "dynptr_ptr",
)

# A later prefix wins over an earlier one.
_PREFIXES = (
    (MEM_RDONLY, "rdonly_"),
    (MEM_ALLOC, "alloc_"),
    (MEM_USER, "user_"),
    (MEM_PERCPU, "percpu_"),
    (PTR_UNTRUSTED, "untrusted_"),
)

SK_POINTERS = frozenset({PTR_TO_SOCKET, PTR_TO_SOCK_COMMON, PTR_TO_TCP_SOCK, PTR_TO_XDP_SOCK})
SPILLABLE = frozenset(range(PTR_TO_CTX, PTR_TO_FUNC + 1)) - {PTR_TO_TP_BUFFER}
"""Base types of the pointers that keep their type on the stack (Linux's is_spillable_regtype)."""
REFCOUNTED_OR_NULL = frozenset({PTR_TO_SOCKET, PTR_TO_TCP_SOCK, PTR_TO_MEM, PTR_TO_BTF_ID})


def base_type(reg_type: int) -> int:
    """The type without its flags."""
    return reg_type & _BASE


def type_is_pkt_pointer(reg_type: int) -> bool:
    """Whether it points into a packet or its metadata."""
    return reg_type & _BASE in (PTR_TO_PACKET, PTR_TO_PACKET_META)


def _name(reg_type: int) -> str:
    base = reg_type & _BASE
    prefix = ""
    for flag, text in _PREFIXES:
        if reg_type & flag:
            prefix = text
    suffix = ""
    if reg_type & PTR_MAYBE_NULL:
        suffix = "or_null_" if base == PTR_TO_BTF_ID else "_or_null"
    return f"{prefix}{_NAMES[base]}{suffix}"


_cache: dict[int, str] = {}


def reg_type_str(reg_type: int) -> str:
    """The type as the log names it: ``map_value_or_null``, ``fp``, ``rdonly_mem``."""
    name = _cache.get(reg_type)
    if name is None:
        name = _cache[reg_type] = _name(reg_type)
    return name
