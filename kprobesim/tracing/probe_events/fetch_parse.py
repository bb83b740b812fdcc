"""The parser of one argument: Linux 6.1 kernel/trace/trace_probe.c (traceprobe_parse_probe_arg and what it calls).

Strings are cut exactly as Linux cuts them, quirks included, because the caret's column comes out of the cutting.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, IntFlag, auto
from typing import Final, NamedTuple

from kprobesim.errors import LinuxError
from kprobesim.kprobes.pt_regs import PT_REGS_FIELDS
from kprobesim.linux_errno import Errno
from kprobesim.tracing.ctype import isdigit
from kprobesim.tracing.kstrto import kstrtol, kstrtoul, simple_strtoul
from kprobesim.tracing.probe_events.errors import ProbeCommandError
from kprobesim.tracing.probe_events.fetch_types import FetchType, find_fetch_type

__all__ = ["MAX_TRACE_ARGS", "FetchInsn", "Op", "ParseFlag", "ProbeArg", "is_good_name", "parse_probe_arg"]

MAX_TRACE_ARGS: Final = 128
_MAX_ARG_NAME_LEN: Final = 32
_MAX_ARGSTR_LEN: Final = 63
_MAX_ARRAY_LEN: Final = 64
_MAX_PROBE_EVENT_SIZE: Final = 3072
_FETCH_INSN_MAX: Final = 16
_PARAM_MAX_STACK: Final = 0x4000 // 8
_RESERVED: Final = (
    "common_type", "common_flags", "common_preempt_count", "common_pid", "common_tgid",
    "__probe_ip", "__probe_ret_ip", "__probe_func",
)  # fmt: skip
_GOOD_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ParseFlag(IntFlag):
    """``TPARG_FL_*``: what kind of probe the argument is for."""

    RETURN = 1
    KERNEL = 2
    FENTRY = 4
    TPOINT = 8


class Op(Enum):
    """``enum fetch_op``, without the markers NOP and END."""

    REG = auto()
    STACK = auto()
    STACKP = auto()
    RETVAL = auto()
    IMM = auto()
    COMM = auto()
    ARG = auto()
    DATA = auto()
    SYMBOL = auto()
    FOFFS = auto()
    TP_ARG = auto()
    DEREF = auto()
    UDEREF = auto()
    ST_RAW = auto()
    ST_MEM = auto()
    ST_UMEM = auto()
    ST_STRING = auto()
    ST_USTRING = auto()
    ST_SYMSTR = auto()
    MOD_BF = auto()
    LP_ARRAY = auto()


class FetchInsn(NamedTuple):
    """``struct fetch_insn``: one step of fetching an argument.

    Attributes:
        op: what it does.
        param: a stack or argument number, an immediate value, an offset, a repetition count, by ``op``.
        text: a register's or symbol's name, or an immediate string.
        size: bytes that a store writes; of a bitfield, those of its container.
        shifts: of a bitfield: left, then right.
    """

    op: Op
    param: int = 0
    text: str = ""
    size: int = 0
    shifts: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class ProbeArg:
    """``struct probe_arg``: an argument as it was parsed.

    Attributes:
        name: the field's name.
        comm: the expression as written, type included.
        type: its type.
        count: elements of an array, 0 if it is none.
        offset: of the field from the end of the record's head.
        code: how it is fetched.
    """

    name: str
    comm: str
    type: FetchType
    count: int
    offset: int
    code: tuple[FetchInsn, ...]

    @property
    def size(self) -> int:
        """Bytes in the fixed part of the record."""
        return self.type.size * (self.count or 1)

    @property
    def fmttype(self) -> str:
        """The field's type in the format file."""
        return f"{self.type.fmttype}[{self.count}]" if self.count else self.type.fmttype


def is_good_name(name: str) -> bool:
    """``is_good_name``: a C identifier."""
    return _GOOD_NAME.fullmatch(name) is not None


class _Code:
    """The instructions while they are parsed: at most 15, and one more word for what went wrong where."""

    def __init__(self, word: int) -> None:
        self.word = word
        self.insns: list[FetchInsn] = []

    def fail(self, code: str, column: int, errno: Errno = Errno.EINVAL) -> ProbeCommandError:
        return ProbeCommandError(code, self.word, column, errno)

    def add(self, insn: FetchInsn, column: int) -> None:
        if len(self.insns) == _FETCH_INSN_MAX - 1:
            raise self.fail("TOO_MANY_OPS", column)
        self.insns.append(insn)

    @property
    def last(self) -> Op:
        return self.insns[-1].op

    def turn_last(self, op: Op, size: int) -> None:
        self.insns[-1] = self.insns[-1]._replace(op=op, size=size)


def parse_probe_arg(number: int, text: str, before: Sequence[ProbeArg], size: int, flags: ParseFlag) -> ProbeArg:
    """Parse one argument (``traceprobe_parse_probe_arg``).

    Args:
        number: of the argument, from 0.
        text: the word: ``[NAME=]FETCHARG[:TYPE]``.
        before: the arguments already parsed.
        size: bytes that those take in the record.
        flags: what kind of probe it is for.

    Raises:
        ProbeCommandError: what is wrong, with the word and column for the caret.
        LinuxError: EINVAL without an entry for the log: a type other than string for ``$comm`` (GRM-07).
    """
    code = _Code(number + 2)
    name, equals, body = text.partition("=")
    if equals:
        if len(name) > _MAX_ARG_NAME_LEN:
            raise code.fail("ARG_NAME_TOO_LONG", 0)
        if not name:
            raise code.fail("NO_ARG_NAME", 0)
    else:
        name, body = f"arg{number + 1}", text
    if not is_good_name(name):
        raise code.fail("BAD_ARG_NAME", 0)
    if name in _RESERVED or any(name == arg.name for arg in before):
        raise code.fail("USED_ARG_NAME", 0)
    return replace(_parse_body(body, size, flags, len(text) - len(body), code), name=name)


def _parse_body(body: str, size: int, flags: ParseFlag, offset: int, code: _Code) -> ProbeArg:
    """``traceprobe_parse_probe_arg_body``; the name is left empty."""
    if len(body) > _MAX_ARGSTR_LEN:
        raise code.fail("ARG_TOO_LONG", offset)
    if not body:
        raise code.fail("NO_ARG_BODY", offset)
    expression, colon, type_text = body.partition(":")
    type_at = offset + len(expression) + 1 if colon else offset
    type_name: str | None = None
    count = 0
    if colon:
        type_name, bracket, rest = type_text.partition("[")
        if bracket:
            count = _parse_count(rest, type_at + len(type_name) + 1, code)
    if not flags & ParseFlag.TPOINT and (expression in ("$comm", "$COMM") or expression.startswith('\\"')):
        if count or type_name not in (None, "string"):
            raise LinuxError(Errno.EINVAL, "The type of $comm and of a text is string, and they are no array.")
        found = find_fetch_type("string")
    else:
        found = find_fetch_type(type_name)
    if found is None:
        raise code.fail("BAD_TYPE", type_at)
    arg = ProbeArg("", body, found, count, size, ())
    if size + arg.size > _MAX_PROBE_EVENT_SIZE:
        raise code.fail("EVENT_TOO_BIG", offset, Errno.E2BIG)
    _parse_fetch(expression, flags, offset, code)
    _parse_store(found, count, offset, type_at, code)
    store = code.last
    if type_name is not None and type_name.startswith("b"):
        _parse_bitfield(type_name, found, type_at, code)
    if count:
        if store not in (Op.ST_MEM, Op.ST_STRING, Op.ST_USTRING):
            raise code.fail("BAD_STRING", type_at)
        code.add(FetchInsn(Op.LP_ARRAY, count), offset)
    return replace(arg, code=tuple(code.insns))


def _parse_count(rest: str, at: int, code: _Code) -> int:
    inner, bracket, suffix = rest.partition("]")
    if not bracket:
        raise code.fail("ARRAY_NO_CLOSE", at + len(rest))
    if suffix:
        raise code.fail("BAD_ARRAY_SUFFIX", at + len(inner) + 1)
    try:
        count = kstrtoul(inner)
    except LinuxError:
        count = 0
    if not 0 < count < 1 << 32:
        raise code.fail("BAD_ARRAY_NUM", at)
    if count > _MAX_ARRAY_LEN:
        raise code.fail("ARRAY_TOO_BIG", at)
    return count


def _parse_fetch(arg: str, flags: ParseFlag, offs: int, code: _Code) -> None:
    """``parse_probe_arg``: load a value, dereference it; calls itself for what is in the braces."""
    first = arg[:1]
    if first == "$":
        _parse_variable(arg[1:], flags, offs, code)
    elif first == "%" and flags & ParseFlag.TPOINT:
        # Linux goes on after it has logged that an event has no registers.
        raise ProbeCommandError("BAD_FETCH_ARG", code.word, offs, before="BAD_VAR")
    elif first == "%":
        if arg[1:] not in PT_REGS_FIELDS:
            raise code.fail("BAD_REG_NAME", offs)
        code.add(FetchInsn(Op.REG, text=arg[1:]), offs)
    elif first == "@":
        _parse_address(arg[1:], flags, offs, code)
    elif first in ("+", "-"):
        _parse_deref(arg, flags, offs, code)
    elif first == "\\":
        _parse_immediate(arg[1:], offs, code)
    else:
        raise code.fail("BAD_FETCH_ARG", offs)


def _parse_variable(name: str, flags: ParseFlag, offs: int, code: _Code) -> None:
    """``parse_probe_vars``."""
    if flags & ParseFlag.TPOINT:
        code.add(FetchInsn(Op.TP_ARG, text=name), offs)
    elif name == "retval":
        if not flags & ParseFlag.RETURN:
            raise code.fail("RETVAL_ON_PROBE", offs)
        code.add(FetchInsn(Op.RETVAL), offs)
    elif name == "stack":
        code.add(FetchInsn(Op.STACKP), offs)
    elif name.startswith("stack") and isdigit(name[5]):
        number = _decimal(name[5:], offs, code)
        if number > _PARAM_MAX_STACK:
            raise code.fail("BAD_STACK_NUM", offs)
        code.add(FetchInsn(Op.STACK, number), offs)
    elif name in ("comm", "COMM"):
        code.add(FetchInsn(Op.COMM), offs)
    elif name.startswith("arg") and flags == ParseFlag.KERNEL | ParseFlag.FENTRY:
        number = _decimal(name[3:], offs, code)
        if not 0 < number <= _PARAM_MAX_STACK:
            raise code.fail("BAD_ARG_NUM", offs)
        code.add(FetchInsn(Op.ARG, number - 1), offs)
    else:
        raise code.fail("BAD_VAR", offs)


def _decimal(text: str, offs: int, code: _Code) -> int:
    try:
        return kstrtoul(text, 10)
    except LinuxError:
        raise code.fail("BAD_VAR", offs) from None


def _parse_address(text: str, flags: ParseFlag, offs: int, code: _Code) -> None:
    if isdigit(text[:1]):
        try:
            code.add(FetchInsn(Op.IMM, kstrtoul(text)), offs)
        except LinuxError as error:
            raise code.fail("BAD_MEM_ADDR", offs, error.errno) from None
    elif text.startswith("+"):
        if flags & ParseFlag.KERNEL:
            raise code.fail("FILE_ON_KPROBE", offs)
        try:
            code.add(FetchInsn(Op.FOFFS, kstrtol(text[1:])), offs)
        except LinuxError as error:
            raise code.fail("BAD_FILE_OFFS", offs, error.errno) from None
    elif not flags & ParseFlag.KERNEL:
        raise code.fail("SYM_ON_UPROBE", offs)
    else:
        # Two instructions in Linux: the symbol, and the immediate that it becomes at registration.
        code.add(FetchInsn(Op.SYMBOL, text=text), offs)
        code.add(FetchInsn(Op.IMM), offs)
    code.add(FetchInsn(Op.DEREF), offs)


def _parse_deref(arg: str, flags: ParseFlag, offs: int, code: _Code) -> None:
    op = Op.DEREF
    if arg[1:2] == "u":
        op, arg = Op.UDEREF, arg[0] + arg[2:]
    arg = arg.removeprefix("+")
    minus = arg.startswith("-")
    number, brace, inner = arg.partition("(")
    if not brace:
        raise code.fail("DEREF_NEED_BRACE", offs)
    try:
        offset = kstrtol(number)
    except LinuxError as error:
        raise code.fail("BAD_DEREF_OFFS", offs, error.errno) from None
    # As in Linux, the u is not counted: behind one the caret stands a column too far left.
    offs += len(number) + 1 + (not minus)
    if ")" not in inner:
        raise code.fail("DEREF_OPEN_BRACE", offs + len(inner))
    # What stands behind the last brace is ignored.
    _parse_fetch(inner[: inner.rindex(")")], flags, offs, code)
    if code.last in (Op.COMM, Op.DATA):
        raise code.fail("COMM_CANT_DEREF", offs)
    code.add(FetchInsn(op, offset), offs)


def _parse_immediate(text: str, offs: int, code: _Code) -> None:
    if text.startswith('"'):
        if len(text) == 1 or not text.endswith('"'):
            raise code.fail("IMMSTR_NO_CLOSE", offs + 2 + len(text) - 1)
        code.add(FetchInsn(Op.DATA, text=text[1:-1]), offs)
        return
    try:
        if isdigit(text[:1]):
            value = kstrtoul(text)
        elif text.startswith(("-", "+")):
            value = kstrtol(text.removeprefix("+"))
        else:
            raise LinuxError(Errno.EINVAL, f"{text!r} is not a number.")
    except LinuxError as error:
        raise code.fail("BAD_IMM", offs + 1, error.errno) from None
    code.add(FetchInsn(Op.IMM, value & (1 << 64) - 1), offs)


def _parse_store(kind: FetchType, count: int, offset: int, type_at: int, code: _Code) -> None:
    """The last dereference becomes the store; a plain value gets a store of its own."""
    last = code.last
    if kind.is_string:
        if kind.name == "symstr":
            if last not in (Op.REG, Op.STACK, Op.RETVAL, Op.ARG, Op.DEREF, Op.TP_ARG):
                raise code.fail("BAD_SYMSTRING", type_at)
        elif last not in (Op.DEREF, Op.UDEREF, Op.IMM, Op.COMM, Op.DATA, Op.TP_ARG):
            raise code.fail("BAD_STRING", type_at)
        if kind.name == "symstr" or last in (Op.IMM, Op.COMM, Op.DATA, Op.TP_ARG) or count:
            code.add(FetchInsn(Op.ST_STRING), offset)
        if kind.name == "ustring" or code.last is Op.UDEREF:
            code.turn_last(Op.ST_USTRING, kind.size)
        elif kind.name == "symstr":
            code.turn_last(Op.ST_SYMSTR, kind.size)
        else:
            code.turn_last(Op.ST_STRING, kind.size)
    elif last is Op.DEREF:
        code.turn_last(Op.ST_MEM, kind.size)
    elif last is Op.UDEREF:
        code.turn_last(Op.ST_UMEM, kind.size)
    else:
        code.add(FetchInsn(Op.ST_RAW, size=kind.size), offset)


def _parse_bitfield(text: str, kind: FetchType, type_at: int, code: _Code) -> None:
    """``__parse_bitfield_probe_arg``: ``bWIDTH@OFFSET/CONTAINER``."""
    wrong = code.fail("BAD_BITFIELD", type_at)
    width, tail = simple_strtoul(text[1:])
    if not width or not tail.startswith("@"):
        raise wrong
    start = tail[1:]
    offset, tail = simple_strtoul(start)
    if tail == start or not tail.startswith("/"):
        raise wrong
    bits = 8 * kind.size
    if bits < width + offset or len(code.insns) == _FETCH_INSN_MAX - 1:
        raise wrong
    code.add(FetchInsn(Op.MOD_BF, size=kind.size, shifts=(bits - (width + offset), bits - width)), type_at)
