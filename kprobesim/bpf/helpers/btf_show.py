"""An object printed by its type: bpf_snprintf_btf.

Follows Linux kernel/bpf/btf.c: btf_type_snprintf_show and the ``show`` function of each kind; kernel/trace/bpf_trace.c:
bpf_btf_printf_prepare. What is zero is left out unless asked for: whether an object inside of another has anything to
show is found by a first walk through it, which prints nothing. The object is read through a window of 32 bytes.
"""

from kprobesim.bpf.errors import MemoryFault
from kprobesim.bpf.helpers.base import HelperContext
from kprobesim.bpf.helpers.btf_show_name import show_name
from kprobesim.bpf.helpers.probe_read import nofault_errno
from kprobesim.image.btf import (
    COMPOSITE,
    INT_CHAR,
    INT_SIGNED,
    MAX_DEPTH,
    POINTER_SIZE,
    SIZED,
    Btf,
    BtfKind,
    BtfMember,
    BtfType,
)
from kprobesim.linux_errno import Errno

__all__ = ["BTF_F_COMPACT", "BTF_F_NONAME", "BTF_F_PTR_RAW", "BTF_F_ZERO", "BtfShow", "snprintf_btf"]

BTF_F_COMPACT, BTF_F_NONAME, BTF_F_PTR_RAW, BTF_F_ZERO = 1, 2, 4, 8
_ALL_FLAGS = BTF_F_COMPACT | BTF_F_NONAME | BTF_F_PTR_RAW | BTF_F_ZERO
_WINDOW = 32
_LARGEST_BASE_TYPE = 16
_DEEPEST_INDENT = 32
_BTF_PTR_SIZE = 16
_WITH_SIZE = tuple(kind for kind in SIZED if kind is not BtfKind.DATASEC)
_ENUMS = (BtfKind.ENUM, BtfKind.ENUM64)


class BtfShow:
    """One object being printed (``struct btf_show``).

    Args:
        btf: the types.
        ctx: whose kernel memory the object is in.
        flags: BTF_F_ bits.

    Attributes:
        pieces: the text so far.
        status: of the last copy out of kernel memory: 0, or why it failed.
    """

    def __init__(self, btf: Btf, ctx: HelperContext, flags: int) -> None:
        self.pieces: list[str] = []
        self.status = 0
        self._btf, self._ctx, self._flags = btf, ctx, flags
        self._depth = self._depth_check = self._depth_to_show = 0
        self._type: BtfType | None = None
        self._type_id = 0
        self._member: BtfMember | None = None
        self._in_array = self._ended = False
        self._encoding = 0
        self._window = bytearray(_WINDOW)
        self._window_at: int | None = None
        self._head = self._size = 0

    def show(self, type_id: int, data: int, bit: int = 0) -> None:
        """An object, or a part of one.

        Args:
            type_id: its type, as declared.
            data: its address.
            bit: where in the first byte it begins.
        """
        entry = self._btf.strip(type_id)
        if entry.kind is BtfKind.VAR:
            entry = self._btf.strip(entry.target)
            type_id = entry.id
        self._show_resolved(entry, type_id, data, bit)

    def _show_resolved(self, entry: BtfType, type_id: int, data: int, bit: int) -> None:
        kind = entry.kind
        if kind in COMPOSITE or kind is BtfKind.ARRAY:
            self._show_parts(entry, type_id, data, bit)
        elif kind is BtfKind.INT:
            self._show_int(entry, type_id, data, bit)
        elif kind is BtfKind.PTR:
            if (safe := self._start(entry, type_id, data)) is not None:
                value = self._number(safe, POINTER_SIZE)
                self._value(value, f"0x{value:016x}")
                self._end_type()
        elif kind in _ENUMS:
            self._show_enum(entry, type_id, data)
        elif kind is BtfKind.DATASEC:
            self._start(entry, type_id, data)
        else:
            self._print(f"<unsupported kind:{int(kind)}>")

    # Text

    def _print(self, text: str) -> None:
        if not self._depth_check:
            self.pieces.append(text)

    def _line(self, text: str, delim: str) -> None:
        compact = self._flags & BTF_F_COMPACT
        indent = "" if compact else " " * min(self._depth, _DEEPEST_INDENT)
        self._print(f"{indent}{text}{delim}{'' if compact else chr(10)}")

    def _name(self) -> str:
        if self._in_array or self._depth_check:
            return ""
        return show_name(self._btf, self._type_id, self._member, not self._flags & BTF_F_NONAME)

    def _value(self, value: int, text: str) -> None:
        """A value; zero is shown only by itself or where zeros are wanted."""
        if value or self._flags & BTF_F_ZERO or not self._depth:
            self._line(self._name() + text, "," if self._depth else "")
            self._depth_to_show = max(self._depth_to_show, self._depth)

    # Memory

    def _resolve_size(self, entry: BtfType) -> int | None:
        count, entry = 1, self._btf.strip(entry.id)
        for _ in range(MAX_DEPTH):
            if entry.kind is not BtfKind.ARRAY:
                break
            count, entry = count * entry.count, self._btf.strip(entry.target)
        if entry.kind is BtfKind.PTR:
            return count * POINTER_SIZE
        return count * entry.size if entry.kind in _WITH_SIZE else None

    def _start(self, entry: BtfType, type_id: int, data: int) -> int | None:
        """Begin a type; where in the window its bytes are, None if there are none (btf_show_obj_safe)."""
        self._type, self._type_id = entry, type_id
        size = self._resolve_size(entry)
        if size is None:
            self.status = -Errno.EINVAL
            return None
        if not self._depth:
            self._head, self._size = data, size
        elif self._window_at is not None:
            last = data + min(size, _LARGEST_BASE_TYPE)
            if self._window_at <= data and last < self._window_at + _WINDOW:
                return data - self._window_at
        left = max(min(self._head + self._size - data, _WINDOW), 0)
        try:
            self._window[:left] = self._ctx.env.read_kernel(data, left)
        except MemoryFault:
            self.status = -nofault_errno(data)
            return None
        self.status, self._window_at = 0, data
        return 0

    def _end_type(self) -> None:
        self._type, self._type_id = None, 0

    def _number(self, safe: int, size: int, signed: bool = False) -> int:
        return int.from_bytes(self._window[safe : safe + size], "little", signed=signed)

    # Numbers

    def _show_bits(self, safe: int, bit: int, bits: int) -> None:
        value = self._number(safe, (bit + bits + 7) // 8) >> bit & (1 << bits) - 1
        self._hex(value)

    def _hex(self, value: int) -> None:
        upper, lower = divmod(value, 1 << 64)
        self._value(value, f"0x{upper:x}{lower:016x}" if upper else f"0x{lower:x}")

    def _show_int(self, entry: BtfType, type_id: int, data: int, bit: int) -> None:
        safe = self._start(entry, type_id, data)
        if safe is None:
            return
        bits, bit = entry.bits, bit + entry.bit_offset
        if bit or bits not in (8, 16, 32, 64, 128):
            self._show_bits(safe + bit // 8, bit % 8, bits)
        elif bits == 128:
            self._hex(self._number(safe, 16))
        elif not (bits == 8 and self._encoding == INT_CHAR and self._show_char(safe)):
            value = self._number(safe, bits // 8, bool(entry.encoding & INT_SIGNED))
            self._value(value, str(value))
        self._end_type()

    def _show_char(self, safe: int) -> bool:
        """A byte of a text: nothing from its zero on; False for what has to be shown as a number."""
        char = self._window[safe]
        if self._ended or not char:
            self._ended = True
            return True
        if not 0x20 <= char < 0x7F and char < 0xA0:
            return False
        self._value(char, f"'{chr(char)}'")
        return True

    def _show_enum(self, entry: BtfType, type_id: int, data: int) -> None:
        safe = self._start(entry, type_id, data)
        if safe is None:
            return
        # A name is an address to who asks whether there is anything to show, so it is shown for 0 too.
        value = self._number(safe, 8 if entry.kind is BtfKind.ENUM64 else 4, entry.flag)
        name = next((one.name for one in entry.enumerators if one.value == value), None)
        self._value(value if name is None else 1, str(value) if name is None else name)
        self._end_type()

    # Parts

    def _show_parts(self, entry: BtfType, type_id: int, data: int, bit: int) -> None:
        member = self._member
        if self._depth and not self._flags & BTF_F_ZERO:
            if not self._depth_check:
                self._depth_check, self._depth_to_show = self._depth + 1, 0
            self._walk(entry, type_id, data, bit)
            self._member = member
            if self._depth_check != self._depth + 1:
                return
            self._depth_check = 0
            if self._depth_to_show <= self._depth:
                return
        self._walk(entry, type_id, data, bit)

    def _walk(self, entry: BtfType, type_id: int, data: int, bit: int) -> None:
        """Everything inside of a struct, union or array, between its brackets."""
        is_array = entry.kind is BtfKind.ARRAY
        if is_array:
            self._encoding, self._ended = self._encoding_of(entry), False
        if self._start(entry, type_id, data) is None:
            return
        self._line(self._name(), "")
        self._depth += 1
        if is_array:
            self._walk_elements(entry, data, bit)
            self._encoding, self._ended = 0, False
        else:
            self._walk_members(entry, data)
        self._depth -= 1
        union = self._flags & BTF_F_COMPACT and self._type is not None and self._type.kind is BtfKind.UNION
        self._line("]" if is_array else "}", "" if not self._depth else "|" if union else ",")
        self._end_type()

    def _walk_members(self, entry: BtfType, data: int) -> None:
        for member in entry.members:
            self._member = member
            place, bit = data + member.bit_offset // 8, member.bit_offset % 8
            if member.bit_size:
                safe = self._start(self._btf.type(member.type_id), member.type_id, place)
                if safe is not None:
                    self._show_bits(safe, bit, member.bit_size)
                self._end_type()
            else:
                self.show(member.type_id, place, bit)
            self._member = None

    def _encoding_of(self, array: BtfType) -> int:
        element = self._btf.strip(array.target)
        if element.kind is not BtfKind.INT:
            return 0
        return INT_CHAR if element.size == 1 else element.encoding

    def _walk_elements(self, array: BtfType, data: int, bit: int) -> None:
        element = self._btf.strip(array.target)
        # Linux knows no size of pointers and arrays here, and shows the first of them again and again.
        size = element.size if element.kind in SIZED else 0
        for _ in range(array.count):
            self._in_array, self._member = True, None
            self._show_resolved(element, array.target, data, bit)
            data += size
            self._in_array, self._member = False, None
            if self._ended:
                break


def snprintf_btf(ctx: HelperContext, buf: int, size: int, ptr: int, ptr_size: int, flags: int) -> int:
    """Print an object of the kernel by its type, as ``struct btf_ptr`` tells both, into memory.

    Returns:
        The whole text's length without its closing zero; EINVAL, ENOENT for an unknown type, EFAULT or ERANGE where the
        object cannot be read.
    """
    size &= 0xFFFFFFFF
    btf = ctx.env.kernel_btf()
    if flags & ~_ALL_FLAGS or ptr_size & 0xFFFFFFFF != _BTF_PTR_SIZE or btf is None:
        return -Errno.EINVAL
    given = ctx.memory.read(ptr, _BTF_PTR_SIZE)
    type_id = int.from_bytes(given[8:12], "little")
    if not type_id:
        return -Errno.EINVAL
    if type_id >= len(btf):
        return -Errno.ENOENT
    ctx.check_buffer(buf, size)
    shown = BtfShow(btf, ctx, flags)
    shown.show(type_id, int.from_bytes(given[:8], "little"))
    text = "".join(shown.pieces).encode("latin-1", "replace")
    if text and size:
        ctx.memory.write(buf, text[: size - 1] + b"\0")
    return shown.status or len(text)
