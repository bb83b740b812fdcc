"""Captured packets: files of tcpdump and Wireshark, read packet by packet.

The two formats are small and stand still, so they are read here and not by a library: that keeps bounds on time and
memory where they can be seen, and asks no user for libpcap.
"""

from collections.abc import Iterator
from typing import IO

from kprobesim.bpf.capture.packets import LINK_TYPES, MAX_CAPTURED, CapturedPacket, skb_of
from kprobesim.bpf.capture.pcap import PCAP_MAGICS, read_pcap
from kprobesim.bpf.capture.pcapng import SECTION_HEADER, read_pcapng
from kprobesim.bpf.capture.source import Source
from kprobesim.errors import BadInput

__all__ = ["LINK_TYPES", "MAX_CAPTURED", "CapturedPacket", "read_capture", "skb_of"]


def read_capture(file: IO[bytes]) -> Iterator[CapturedPacket]:
    """The packets of a capture in either format, one after another; memory for one at a time.

    Args:
        file: opened for bytes.

    Raises:
        BadInput: a file that is no capture, is cut off or contradicts itself; when the place is reached.
    """
    source = Source(file)
    start = source.peek(4)
    if start in PCAP_MAGICS:
        return read_pcap(source)
    if start == SECTION_HEADER:
        return read_pcapng(source)
    if start[:2] == b"\x1f\x8b":
        raise BadInput("The capture is compressed.", hint="Unpack it with gunzip first.")
    raise BadInput("This is no capture: it begins neither as pcap nor as pcapng.", hint="tcpdump -w FILE writes one.")
