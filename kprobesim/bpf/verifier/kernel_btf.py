"""Kernel structs by the kernel's own types: what a traced function's arguments are, what a load from a struct gives.

Follows Linux kernel/bpf/btf.c: btf_ctx_access, btf_struct_walk, btf_struct_access,
btf_struct_ids_match.
"""

from typing import TYPE_CHECKING, NamedTuple

from kprobesim.bpf.verifier.errors import Rejected
from kprobesim.bpf.verifier.reg import Reg
from kprobesim.bpf.verifier.reg_type import MEM_PERCPU, MEM_USER, PTR_TO_BTF_ID
from kprobesim.image.btf import COMPOSITE, MAX_DEPTH, Btf, BtfKind, BtfMember, BtfType, Parameter
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = [
    "FunctionFacts",
    "TracedFunction",
    "find_traced_function",
    "struct_access",
    "struct_ids_match",
    "traced_argument",
]

_MOST_ARGUMENTS = 12
_NUMBERS = (BtfKind.INT, BtfKind.ENUM, BtfKind.ENUM64, *COMPOSITE)
_RETURNS_TOO = frozenset({"trace_fexit", "lsm_mac", "lsm_cgroup"})
_TAGS = {"user": MEM_USER, "percpu": MEM_PERCPU}


class FunctionFacts(NamedTuple):
    """What is to be known of a function of the kernel beside its type.

    Attributes:
        error_injection: whether it is on the list of those that may be made to fail.
    """

    error_injection: bool


class TracedFunction:
    """What a program is attached to.

    Args:
        name: as messages name it.
        parameters: its parameters, without the ``void *`` that the types of tracepoints begin with.
        result: id of the type it returns.
    """

    def __init__(self, name: str, parameters: tuple[Parameter, ...], result: int) -> None:
        self.name = name
        self.parameters = parameters
        self.result = result


def find_traced_function(btf: Btf, name: str, attach_type: str) -> TracedFunction | None:
    """The function, or for ``trace_raw_tp`` the tracepoint, of this name; None if there is none."""
    if attach_type != "trace_raw_tp":
        found = btf.function(name)
        return None if found is None else TracedFunction(name, *found)
    typedef = btf.find(f"btf_trace_{name}", BtfKind.TYPEDEF)
    pointer = btf.strip(typedef.target) if typedef is not None else None
    proto = btf.strip(pointer.target) if pointer is not None and pointer.kind is BtfKind.PTR else None
    if proto is None or proto.kind is not BtfKind.FUNC_PROTO:
        return None
    return TracedFunction(name, proto.parameters[1:], proto.target)


def _kind_name(entry: BtfType) -> str:
    return "UNKNOWN" if entry.kind is BtfKind.VOID else entry.kind.name


def _argument_number(btf: Btf, function: TracedFunction, off: int) -> int:
    """Which argument lies there; one more than there are for the result."""
    end = 0
    for number, type_id in enumerate((*(parameter.type_id for parameter in function.parameters), function.result)):
        end += max((btf.size_of(type_id) + 7) & ~7, 0)
        if off < end:
            return number
    return len(function.parameters) + 1


def traced_argument(env: "Env", off: int, size: int, write: bool) -> Reg | None:
    """What a load from the context gives, None where it is refused; the kernel says why in its log."""
    btf, function = env.setup.btf, env.traced
    assert btf is not None and function is not None
    if write or not 0 <= off < 8 * _MOST_ARGUMENTS or off % size:
        return None
    say = env.log.write
    if off % 8:
        say(f"func '{function.name}' offset {off} is not multiple of 8\n")
        return None
    count = len(function.parameters)
    number = _argument_number(btf, function, off)
    if number > count or (number == count and env.setup.attach_type not in (*_RETURNS_TOO, "modify_return")):
        say(f"func '{function.name}' doesn't have {number + 1}-th argument\n")
        return None
    type_id = function.result if number == count else function.parameters[number].type_id
    entry = btf.strip(type_id)
    if number == count and env.setup.attach_type == "modify_return" and entry.kind is not BtfKind.INT:
        say(f"ret type {_kind_name(entry)} not allowed for fmod_ret\n")
        return None
    if entry.kind in _NUMBERS:
        return env.unknown
    if entry.kind is not BtfKind.PTR:
        kind = _kind_name(entry)
        say(f"func '{function.name}' arg{number} '{entry.name}' has type {kind}. Only pointer access is allowed\n")
        return None
    target = btf.strip(entry.target)
    if target.kind in (BtfKind.VOID, BtfKind.INT):
        return env.unknown
    if target.kind not in COMPOSITE:
        say(f"func '{function.name}' arg{number} type {_kind_name(target)} is not a struct\n")
        return None
    kind = _kind_name(target)
    say(f"func '{function.name}' arg{number} has btf_id {target.id} type {kind} '{target.name}'\n")
    return env.pointer(PTR_TO_BTF_ID | _tag(btf, entry), btf=target.name)


def _tag(btf: Btf, pointer: BtfType) -> int:
    """Flags by the tag on what a pointer points to."""
    entry = btf.type(pointer.target)
    return _TAGS.get(entry.name, 0) if entry.kind is BtfKind.TYPE_TAG else 0


def struct_access(env: "Env", btf: Btf, struct: BtfType, off: int, size: int) -> Reg:
    """What a load of ``size`` bytes at ``off`` of a struct gives: a number, or a pointer to another struct."""
    for _ in range(MAX_DEPTH):
        beyond = off + size > struct.size
        inner = (_flexible if beyond else _member_access)(env, btf, struct, off, size)
        if isinstance(inner, Reg):
            return inner
        struct, off = inner
    raise env.refusal(Errno.EINVAL, f"struct {struct.name} doesn't have field at offset {off}")


def struct_ids_match(env: "Env", name: str, off: int, needed: str, strict: bool = False) -> bool:
    """Whether a struct's address plus an offset is also the address of such a struct, which lies in it.

    Args:
        env: the verifier; where the walk ends at no struct its log says why.
        name: the struct that the address is of.
        off: bytes from there.
        needed: the struct that is wanted.
        strict: whether only the whole struct will do.
    """
    if not off and name == needed:
        return True
    btf = env.setup.btf
    inner = btf.find(name, *COMPOSITE) if btf is not None and not strict else None
    while btf is not None and inner is not None:
        inner = _struct_at(env, btf, inner, off)
        if inner is not None and inner.name == needed:
            return True
        off = 0
    return False


def _struct_at(env: "Env", btf: Btf, struct: BtfType, off: int) -> BtfType | None:
    """The outermost struct inside of this one that begins exactly there."""
    for _ in range(MAX_DEPTH):
        beyond = off + 1 > struct.size
        try:
            inner = (_flexible if beyond else _member_access)(env, btf, struct, off, 1)
        except Rejected:
            return None
        if isinstance(inner, Reg):
            return None
        struct, off = inner
        if not off and not beyond:
            return struct
    return None


def _flexible(env: "Env", btf: Btf, struct: BtfType, off: int, size: int) -> "Reg | tuple[BtfType, int]":
    """Behind the end of a struct there may be more elements of its last member, an array without a size."""
    last = struct.members[-1] if struct.members else None
    array = btf.strip(last.type_id) if last is not None else None
    if last is not None and array is not None and array.kind is BtfKind.ARRAY and not array.count:
        start = last.bit_offset // 8
        element = btf.strip(array.target)
        if off >= start and element.kind is BtfKind.INT:
            return env.unknown
        if off >= start and element.kind in COMPOSITE and element.size:
            return element, (off - start) % element.size
    raise env.refusal(Errno.EACCES, f"access beyond struct {struct.name} at off {off} size {size}")


def _member_access(env: "Env", btf: Btf, struct: BtfType, off: int, size: int) -> "Reg | tuple[BtfType, int]":
    """A number or a pointer; or the struct inside of this one to go on with, and the offset there."""
    for member in struct.members:
        start = member.bit_offset // 8
        if off + size <= start:
            break
        if member.bit_size:
            if off <= start and (member.bit_offset + member.bit_size + 7) // 8 <= off + size:
                return env.unknown
            continue
        if off < start:
            break
        end = start + btf.size_of(member.type_id)
        if off >= end:
            continue
        entry, start, length = _element(btf, member, start, off)
        if entry.kind in COMPOSITE:
            return entry, off - start
        if entry.kind is BtfKind.PTR:
            if length != size or off != start:
                said = f"cannot access ptr member {member.name} with moff {start} in struct {struct.name}"
                env.reject(Errno.EACCES, f"{said} with off {off} size {size}")
            target = btf.strip(entry.target)
            if target.kind in COMPOSITE:
                return env.pointer(PTR_TO_BTF_ID | _tag(btf, entry), btf=target.name)
        if off + size > end:
            said = f"access beyond the end of member {member.name} (mend:{end}) in struct {struct.name}"
            env.reject(Errno.EACCES, f"{said} with off {off} size {size}")
        return env.unknown
    raise env.refusal(Errno.EINVAL, f"struct {struct.name} doesn't have field at offset {off}")


def _element(btf: Btf, member: BtfMember, start: int, off: int) -> tuple[BtfType, int, int]:
    """The type of what lies at ``off`` in a member, an array's element for an array; where it starts, its size."""
    entry = btf.strip(member.type_id)
    while entry.kind is BtfKind.ARRAY:
        length = btf.size_of(entry.target)
        start += (off - start) // length * length if length else 0
        entry = btf.strip(entry.target)
    return entry, start, btf.size_of(entry.id)
