"""Captures in the new format: blocks, of which some say what the interfaces were and some hold packets.

Follows draft-ietf-opsawg-pcapng: section headers, interface descriptions, simple, enhanced and the obsolete packet
blocks. Other blocks are stepped over.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from kprobesim.bpf.capture.packets import MAX_CAPTURED, CapturedPacket
from kprobesim.bpf.capture.source import Source
from kprobesim.errors import BadInput

__all__ = ["SECTION_HEADER", "read_pcapng"]

SECTION_HEADER = b"\x0a\x0d\x0d\x0a"
_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 2, 3, 6
_BYTE_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_LARGEST_BLOCK = 16 << 20
_MAX_INTERFACES = 4096
_OPTION_END, _IF_TSRESOL, _IF_TSOFFSET, _EPB_FLAGS = 0, 9, 14, 2
_OUTBOUND = 2
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Interface:
    link_type: int
    snaplen: int
    ticks: int
    offset: int

    def time_ns(self, ticks: int) -> int:
        return ticks * _SECOND // self.ticks + self.offset * _SECOND


@dataclass(slots=True)
class _Section:
    order: str
    interfaces: list[_Interface] = field(default_factory=list)

    def unpack(self, form: str, data: bytes, at: int, what: str) -> tuple[int, ...]:
        layout = struct.Struct(self.order + form)
        if len(data) < at + layout.size:
            raise BadInput(f"{what} is too short.")
        return layout.unpack_from(data, at)

    def options(self, data: bytes, at: int) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        while at + 4 <= len(data):
            code, length = struct.unpack_from(f"{self.order}HH", data, at)
            value = data[at + 4 : at + 4 + length]
            if code == _OPTION_END or len(value) < length:
                break
            found.setdefault(code, value)
            at += 4 + (length + 3 & ~3)
        return found

    def interface(self, index: int, what: str) -> _Interface:
        if index >= len(self.interfaces):
            raise BadInput(f"{what} is of interface {index}, which nothing has described.")
        return self.interfaces[index]


def read_pcapng(source: Source) -> Iterator[CapturedPacket]:
    """The packets, one after another.

    Raises:
        BadInput: a file that is cut off or contradicts itself, a block of more than 16 MiB, a packet of more than
            MAX_CAPTURED bytes.
    """
    section = _Section("<")
    number = 0
    while not source.at_end:
        at = source.offset
        if source.peek(4) == SECTION_HEADER:
            order = _BYTE_ORDERS.get(source.peek(12)[8:])
            if order is None:
                raise BadInput(f"The section at byte {at:,} is in no byte order.")
            section = _Section(order)
        kind, body = _block(source, section)
        what = f"The block at byte {at:,}"
        if kind == _INTERFACE:
            _describe(section, body, what)
        elif kind in (_OLD_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET):
            number += 1
            yield _packet(section, kind, body, number, what)


def _block(source: Source, section: _Section) -> tuple[int, bytes]:
    at = source.offset
    kind, length = struct.unpack(f"{section.order}II", source.read(8, "a block's header"))
    if length < 12 or length % 4:
        raise BadInput(f"The block at byte {at:,} claims {length:,} bytes, which no block can have.")
    if length > _LARGEST_BLOCK:
        raise BadInput(f"The block at byte {at:,} claims {length:,} bytes; {_LARGEST_BLOCK:,} is the most.")
    rest = source.read(length - 8, f"the block at byte {at:,}")
    (again,) = struct.unpack(f"{section.order}I", rest[-4:])
    if again != length:
        raise BadInput(f"The block at byte {at:,} says {length:,} bytes at its start and {again:,} at its end.")
    return kind, rest[:-4]


def _describe(section: _Section, body: bytes, what: str) -> None:
    if len(section.interfaces) >= _MAX_INTERFACES:
        raise BadInput(f"The capture has more than {_MAX_INTERFACES} interfaces.")
    link_type, _, snaplen = section.unpack("HHI", body, 0, what)
    options = section.options(body, 8)
    ticks = 1_000_000
    resolution = options.get(_IF_TSRESOL, b"")
    if resolution:
        exponent = resolution[0] & 0x7F
        ticks = 1 << exponent if resolution[0] & 0x80 else 10**exponent
    offset = options.get(_IF_TSOFFSET, b"")
    seconds = struct.unpack(f"{section.order}q", offset)[0] if len(offset) == 8 else 0
    section.interfaces.append(_Interface(link_type, snaplen, ticks, seconds))


def _packet(section: _Section, kind: int, body: bytes, number: int, what: str) -> CapturedPacket:
    if kind == _SIMPLE_PACKET:
        (length,) = section.unpack("I", body, 0, what)
        described = section.interface(0, what)
        captured = min(length, described.snaplen or length)
        return _made(number, 0, body, 4, captured, length, described, 0, False, what)
    if kind == _ENHANCED_PACKET:
        index, high, low, captured, length = section.unpack("IIIII", body, 0, what)
    else:
        index, _, high, low, captured, length = section.unpack("HHIIII", body, 0, what)
    described = section.interface(index, what)
    flags = section.options(body, 20 + (captured + 3 & ~3)).get(_EPB_FLAGS, b"")
    outgoing = len(flags) == 4 and struct.unpack(f"{section.order}I", flags)[0] & 3 == _OUTBOUND
    time_ns = described.time_ns(high << 32 | low)
    return _made(number, time_ns, body, 20, captured, length, described, index, outgoing, what)


def _made(
    number: int,
    time_ns: int,
    body: bytes,
    at: int,
    captured: int,
    length: int,
    described: _Interface,
    index: int,
    outgoing: bool,
    what: str,
) -> CapturedPacket:
    if captured > MAX_CAPTURED:
        raise BadInput(f"Packet {number} claims {captured:,} captured bytes; {MAX_CAPTURED:,} is the most.")
    data = body[at : at + captured]
    if len(data) < captured:
        raise BadInput(f"{what} has room for {len(data):,} bytes, but its packet claims {captured:,}.")
    return CapturedPacket(number, time_ns, data, length, described.link_type, index, outgoing)
