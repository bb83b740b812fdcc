"""Makes the captures that the tests read: ``python -m tests.bpf.classic.make_captures``.

Every byte comes from here; nothing was ever on a wire. The addresses are those that RFC 5737 and RFC 3849 set aside.
"""

import struct
from pathlib import Path

FOLDER = Path(__file__).parent / "captures"
_MAC_A, _MAC_B = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
_HOST_A, _HOST_B = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
_SIX_A, _SIX_B = bytes.fromhex("20010db8" + "0" * 23 + "1"), bytes.fromhex("20010db8" + "0" * 23 + "2")
_START = 1_700_000_000


def checksum(data: bytes) -> int:
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(kind: int, payload: bytes) -> bytes:
    return _MAC_B + _MAC_A + struct.pack(">H", kind) + payload


def ipv4(protocol: int, payload: bytes, *, options: bytes = b"", fragment: int = 0) -> bytes:
    length = 20 + len(options)
    fields = (0x40 | length // 4, 0, length + len(payload), 1, fragment, 64, protocol)
    head = struct.pack(">BBHHHBB", *fields)
    sums = checksum(head + b"\0\0" + _HOST_A + _HOST_B + options)
    return head + struct.pack(">H", sums) + _HOST_A + _HOST_B + options + payload


def ipv6(protocol: int, payload: bytes) -> bytes:
    return struct.pack(">IHBB", 0x6000_0000, len(payload), protocol, 64) + _SIX_A + _SIX_B + payload


def tcp(source: int, target: int, flags: int, data: bytes = b"") -> bytes:
    return struct.pack(">HHIIBBHHH", source, target, 1000, 0, 5 << 4, flags, 1024, 0, 0) + data


def udp(source: int, target: int, data: bytes) -> bytes:
    return struct.pack(">HHHH", source, target, 8 + len(data), 0) + data


def icmp(kind: int, data: bytes) -> bytes:
    body = struct.pack(">BBHHH", kind, 0, 0, 135, 0) + data
    return body[:2] + struct.pack(">H", checksum(body)) + body[4:]


def packets() -> list[bytes]:
    """Ten frames: ping and answer, ARP, TCP to port 80 with and without IP options, DNS, fragments, IPv6, VLAN."""
    arp = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + _MAC_A + _HOST_A + bytes(6) + _HOST_B
    return [
        ethernet(0x0800, ipv4(1, icmp(8, bytes(range(56))))),
        ethernet(0x0800, ipv4(1, icmp(0, bytes(range(56))))),
        ethernet(0x0806, arp),
        ethernet(0x0800, ipv4(6, tcp(40000, 80, 0x02))),
        ethernet(0x0800, ipv4(6, tcp(40000, 80, 0x18, b"GET / HTTP/1.0\r\n\r\n"), options=b"\x01" * 4)),
        ethernet(0x0800, ipv4(17, udp(40001, 53, b"\x12\x34\x01\x00\x00\x01" + bytes(6)))),
        ethernet(0x0800, ipv4(17, udp(40001, 53, bytes(64)), fragment=0x2000)),
        ethernet(0x0800, ipv4(17, bytes(72), fragment=0x0009)),
        ethernet(0x86DD, ipv6(6, tcp(40000, 80, 0x10))),
        ethernet(0x8100, struct.pack(">HH", 5, 0x0800) + ipv4(6, tcp(40000, 22, 0x02))),
    ]


def pcap(frames: list[bytes], *, order: str = "<", nanoseconds: bool = False, snaplen: int = 262_144) -> bytes:
    magic = 0xA1B2_3C4D if nanoseconds else 0xA1B2_C3D4
    made = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snaplen, 1)
    for number, frame in enumerate(frames):
        kept = frame[:snaplen]
        made += struct.pack(f"{order}IIII", _START + number, 1000 * number, len(kept), len(frame)) + kept
    return made


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", 12 + len(body))
    return struct.pack(f"{order}I", kind) + length + body + length


def pcapng(frames: list[bytes], *, order: str = "<") -> bytes:
    """Two interfaces, the second with nanoseconds; every other packet is an outgoing one of the second."""
    section = struct.pack(f"{order}IHHq", 0x1A2B_3C4D, 1, 0, -1)
    first = struct.pack(f"{order}HHI", 1, 0, 262_144)
    second = first + struct.pack(f"{order}HHB3x", 9, 1, 9) + struct.pack(f"{order}HH", 0, 0)
    made = block(order, 0x0A0D_0D0A, section) + block(order, 1, first) + block(order, 1, second)
    made += block(order, 0x0BAD, b"a block that nobody knows")
    for number, frame in enumerate(frames):
        index = number % 2
        ticks = (_START + number) * (1_000_000_000 if index else 1_000_000)
        fixed = struct.pack(f"{order}IIIII", index, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
        flags = struct.pack(f"{order}HHIHH", 2, 4, 2 if index else 1, 0, 0)
        made += block(order, 6, fixed + frame + bytes(-len(frame) % 4) + flags)
    return made


def captures() -> dict[str, bytes]:
    """File name -> contents."""
    frames = packets()
    return {
        "mixed.pcap": pcap(frames),
        "mixed-big-endian-nanoseconds.pcap": pcap(frames, order=">", nanoseconds=True),
        "mixed-60-bytes.pcap": pcap(frames, snaplen=60),
        "mixed.pcapng": pcapng(frames),
        "mixed-big-endian.pcapng": pcapng(frames, order=">"),
    }


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, contents in captures().items():
        (FOLDER / name).write_bytes(contents)


if __name__ == "__main__":
    main()
