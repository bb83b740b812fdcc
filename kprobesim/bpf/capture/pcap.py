"""Captures in the old format: one header, then packets with a header of 16 bytes each.

Follows draft-ietf-opsawg-pcap: microseconds (``a1b2c3d4``) or nanoseconds (``a1b23c4d``), in either byte order.
"""

import struct
from collections.abc import Iterator

from kprobesim.bpf.capture.packets import MAX_CAPTURED, CapturedPacket
from kprobesim.bpf.capture.source import Source
from kprobesim.errors import BadInput

__all__ = ["PCAP_MAGICS", "read_pcap"]

PCAP_MAGICS = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
"""First bytes -> byte order, and nanoseconds in a unit of the fraction."""

_MAJOR = 2


def read_pcap(source: Source) -> Iterator[CapturedPacket]:
    """The packets, one after another.

    Raises:
        BadInput: a file that is cut off, of another version, or with a packet of more than MAX_CAPTURED bytes.
    """
    header = source.read(24, "the file's header")
    order, unit = PCAP_MAGICS[header[:4]]
    major, minor, _, _, _, network = struct.unpack(f"{order}HHiIII", header[4:])
    if major != _MAJOR:
        raise BadInput(f"The capture is of version {major}.{minor}; only 2.4 is known.")
    link_type = network & 0xFFFF
    record = struct.Struct(f"{order}IIII")
    number = 0
    while not source.at_end:
        number += 1
        seconds, fraction, captured, length = record.unpack(source.read(16, f"packet {number}'s header"))
        if captured > MAX_CAPTURED:
            raise BadInput(f"Packet {number} claims {captured:,} captured bytes; {MAX_CAPTURED:,} is the most.")
        data = source.read(captured, f"packet {number}")
        yield CapturedPacket(number, seconds * 1_000_000_000 + fraction * unit, data, length, link_type)
