"""What a program's own types say of its functions and source lines, as BPF_PROG_LOAD is given it, and whether it fits.

Follows Linux kernel/bpf/verifier.c: check_btf_info, check_btf_func, check_btf_line, check_abnormal_return.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from kprobesim.bpf.verifier.errors import Rejected
from kprobesim.bpf.verifier.function_types import NUMBERS, function_type
from kprobesim.bpf.verifier.functions import FunctionType
from kprobesim.errors import ImageError
from kprobesim.image.btf import Btf, BtfKind
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["ProgramBtf", "check_btf_info"]

_FUNC = struct.Struct("<II")
_LINE = struct.Struct("<IIII")
_LARGEST_RECORD = 252
_LARGEST_INT = (1 << 31) - 1
_LARGEST_NUMBER = 8


@dataclass(frozen=True)
class ProgramBtf:
    """The attributes of BPF_PROG_LOAD that speak of types. Nothing in the records is trusted.

    Attributes:
        btf: the program's types, ``prog_btf_fd``.
        strings_size: bytes of the types' strings: names lie below it.
        func_info, line_info: the records, one after the other.
        func_info_cnt, line_info_cnt: how many there are said to be.
        func_info_rec_size, line_info_rec_size: how many bytes each is said to have.
    """

    btf: Btf
    strings_size: int = 0
    func_info: bytes = b""
    func_info_cnt: int = 0
    func_info_rec_size: int = _FUNC.size
    line_info: bytes = b""
    line_info_cnt: int = 0
    line_info_rec_size: int = _LINE.size


def check_btf_info(env: "Env") -> None:
    """Take over what the types say of the functions, into ``env.functions``.

    Raises:
        Rejected: it does not fit the program.
    """
    given = env.setup.types
    if given is None or not (given.func_info_cnt or given.line_info_cnt):
        if not env.has_func_info:
            _check_abnormal_return(env)
        return
    try:
        _check_btf_func(env, given)
    except ImageError as error:
        # Linux would have refused these types when they were loaded.
        raise Rejected(Errno.EINVAL, "", hint=error.message) from None
    _check_btf_line(env, given)


def _check_abnormal_return(env: "Env") -> None:
    """What only functions with types may do."""
    for sub in env.subprogs[1:]:
        if sub.has_ld_abs:
            env.reject(Errno.EINVAL, "LD_ABS is not allowed in subprogs without BTF")
        if sub.has_tail_call:
            env.reject(Errno.EINVAL, "tail_call is not allowed in subprogs without BTF")


def _records(
    data: bytes, count: int, size: int, layout: struct.Struct, at_tail: Callable[[], NoReturn]
) -> Iterator[tuple[int, ...]]:
    """Each record's known fields; a newer compiler's may be longer, as long as the rest is zero."""
    for number in range(count):
        record = data[number * size : (number + 1) * size]
        if len(record) < size:
            raise Rejected(Errno.EFAULT, "", hint=f"There are fewer than the {count} records that there should be.")
        if any(record[layout.size :]):
            at_tail()
        yield layout.unpack_from(record)


def _check_btf_func(env: "Env", given: ProgramBtf) -> None:
    count, size = given.func_info_cnt, given.func_info_rec_size
    if not count:
        _check_abnormal_return(env)
        return
    if count != len(env.subprogs):
        env.reject(Errno.EINVAL, "number of funcs in func_info doesn't match number of subprogs")
    if not _FUNC.size <= size <= _LARGEST_RECORD or size % 4:
        env.reject(Errno.EINVAL, f"invalid func info rec size {size}")

    def at_tail() -> NoReturn:
        env.reject(Errno.E2BIG, "nonzero tailing record in func info")

    functions: list[FunctionType] = []
    previous = 0
    for number, (start, type_id) in enumerate(_records(given.func_info, count, size, _FUNC, at_tail)):
        env.insn_idx = min(start, env.count - 1)
        if number == 0 and start:
            env.reject(Errno.EINVAL, f"nonzero insn_off {start} for the first func info record", end="")
        if number and start <= previous:
            said = f"same or smaller insn offset ({start}) than previous func info record ({previous})"
            env.reject(Errno.EINVAL, said, end="")
        if env.subprogs[number].start != start:
            env.reject(Errno.EINVAL, "func_info BTF section doesn't match subprog layout in BPF program")
        functions.append(_function(env, given.btf, number, type_id))
        previous = start
    env.functions = functions


def _function(env: "Env", btf: Btf, number: int, type_id: int) -> FunctionType:
    entry = btf.type(type_id) if type_id < len(btf) else None
    if entry is None or entry.kind is not BtfKind.FUNC:
        signed = type_id - (type_id >> 31 << 32)
        env.reject(Errno.EINVAL, f"invalid type id {signed} in func info", end="")
    prototype = btf.type(entry.target)
    if prototype.kind is not BtfKind.FUNC_PROTO:
        env.reject(Errno.EINVAL, "")
    result = btf.strip(prototype.target)
    sub = env.subprogs[number]
    if number and not (result.kind in NUMBERS and result.size <= _LARGEST_NUMBER):
        if sub.has_ld_abs:
            env.reject(Errno.EINVAL, "LD_ABS is only allowed in functions that return 'int'.")
        if sub.has_tail_call:
            env.reject(Errno.EINVAL, "tail_call is only allowed in functions that return 'int'.")
    return function_type(btf, entry, env.prog_type)


def _check_btf_line(env: "Env", given: ProgramBtf) -> None:
    count, size = given.line_info_cnt, given.line_info_rec_size
    if not count:
        return
    if count > _LARGEST_INT // _LINE.size:
        raise Rejected(Errno.EINVAL, "", hint=f"{count} source lines are too many.")
    if not _LINE.size <= size <= _LARGEST_RECORD or size % 4:
        raise Rejected(Errno.EINVAL, "", hint=f"A record of a source line cannot have {size} bytes.")

    def at_tail() -> NoReturn:
        env.reject(Errno.E2BIG, "nonzero tailing record in line_info", end="")

    subs, next_sub, previous = env.subprogs, 0, 0
    for number, (start, file, text, _) in enumerate(_records(given.line_info, count, size, _LINE, at_tail)):
        where = f"line_info[{number}]"
        env.insn_idx = min(start, env.count - 1)
        if (number and start <= previous) or start >= env.count:
            said = f"Invalid {where}.insn_off:{start} (prev_offset:{previous} prog->len:{env.count})"
            env.reject(Errno.EINVAL, said)
        if not env.insns[start].code:
            env.reject(Errno.EINVAL, f"Invalid insn code at {where}.insn_off")
        if max(file, text) >= given.strings_size:
            env.reject(Errno.EINVAL, f"Invalid {where}.line_off or .file_name_off")
        if next_sub != len(subs):
            if start == subs[next_sub].start:
                next_sub += 1
            elif subs[next_sub].start < start:
                env.reject(Errno.EINVAL, f"missing bpf_line_info for func#{next_sub}")
        previous = start
    if next_sub != len(subs):
        missing = len(subs) - next_sub
        env.reject(Errno.EINVAL, f"missing bpf_line_info for {missing} funcs starting from func#{next_sub}")
