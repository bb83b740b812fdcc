"""Capture files: both formats, both byte orders, and files that are broken."""

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobesim.bpf import BenchEnvironment
from kprobesim.bpf.capture import MAX_CAPTURED, CapturedPacket, read_capture, skb_of
from kprobesim.bpf.classic import Engine, Filter, FilterBench, read_filter
from kprobesim.errors import BadInput
from tests.bpf.classic.make_captures import FOLDER, block, captures, packets, pcap, pcapng
from tests.bpf.classic.programs import listings

FILES = captures()
PCAP, PCAPNG = FILES["mixed.pcap"], FILES["mixed.pcapng"]


def read(contents: bytes) -> list[CapturedPacket]:
    return list(read_capture(io.BytesIO(contents)))


@pytest.mark.parametrize("name", FILES)
def test_the_stored_captures_are_what_their_script_makes(name: str) -> None:
    assert (FOLDER / name).read_bytes() == FILES[name]


@pytest.mark.parametrize("name", [name for name in FILES if "60" not in name])
def test_packets_are_read_whole_from_either_format_in_either_byte_order(name: str) -> None:
    found = read(FILES[name])
    assert [packet.data for packet in found] == packets()
    assert [packet.number for packet in found] == list(range(1, 11))
    assert {packet.link_type for packet in found} == {1}


def test_times_are_nanoseconds_in_the_units_the_file_says() -> None:
    micro, nano = read(PCAP)[3], read(FILES["mixed-big-endian-nanoseconds.pcap"])[3]
    assert (micro.time_ns, nano.time_ns) == (1_700_000_003_003_000_000, 1_700_000_003_000_003_000)
    assert [packet.time_ns for packet in read(PCAPNG)[:2]] == [1_700_000_000 * 10**9, 1_700_000_001 * 10**9]


def test_interfaces_and_directions_come_from_pcapng() -> None:
    assert [(packet.interface, packet.outgoing) for packet in read(PCAPNG)[:2]] == [(0, False), (1, True)]
    assert [skb_of(packet).pkt_type for packet in read(PCAPNG)[:2]] == [0, 4]


def test_a_cut_packet_keeps_its_length() -> None:
    first = read(FILES["mixed-60-bytes.pcap"])[0]
    assert (len(first.data), first.length) == (60, 98)
    assert (skb_of(first).len, skb_of(first).lost) == (98, 38)


MATCHES = {
    "ip": [1, 2, 4, 5, 6, 7, 8],
    "tcp port 80": [4, 5, 9],
    "udp and dst port 53": [6, 7],
    "icmp or arp": [1, 2, 3],
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0": [4],
    "not ip6": [1, 2, 3, 4, 5, 6, 7, 8, 10],
    "ip[0] & 0xf != 5": [5],
    "len > 100": [7, 8],
    "ether host 00:11:22:33:44:55": [],
}


@pytest.mark.parametrize("expression", MATCHES)
@pytest.mark.parametrize("engine", Engine)
def test_tcpdumps_filters_match_what_tcpdump_matches(expression: str, engine: Engine) -> None:
    """The packets are those that tcpdump -r itself printed for the expression; cut packets match alike."""
    bench = FilterBench(Filter(read_filter(listings()["-d", expression])), BenchEnvironment(), engine)
    for name in FILES:
        assert [packet.number for packet in read(FILES[name]) if bench.run(skb_of(packet))] == MATCHES[expression]


@pytest.mark.parametrize(
    ("link_type", "header", "protocol", "network", "pkt_type"),
    [
        (1, bytes(12) + b"\x86\xdd", 0x86DD, 14, 0),
        (1, bytes(12) + b"\x00\x2e\xff\xff", 0x0001, 14, 0),
        (1, bytes(12) + b"\x00\x2e\x42\x42", 0x0004, 14, 0),
        (101, b"\x45", 0x0800, 0, 0),
        (229, b"\x60", 0x86DD, 0, 0),
        (0, b"\x02\0\0\0\x45", 0x0800, 4, 0),
        (113, b"\0\4\0\1" + bytes(10) + b"\x08\0", 0x0800, 16, 4),
        (276, b"\x08\0\0\0" + bytes(4) + b"\0\1\4\6" + bytes(8), 0x0800, 20, 4),
        (105, b"\x08\0\0\0", 0, 0, 0),
        (1, b"", 0, 14, 0),
    ],
)
def test_link_types_say_what_is_inside(
    link_type: int, header: bytes, protocol: int, network: int, pkt_type: int
) -> None:
    skb = skb_of(CapturedPacket(1, 0, header, len(header), link_type))
    assert (skb.protocol, skb.network_offset, skb.pkt_type) == (protocol, network, pkt_type)


def test_simple_and_obsolete_packet_blocks_are_read() -> None:
    section, interface = PCAPNG[:28], block("<", 1, struct.pack("<HHI", 1, 0, 4))
    simple = block("<", 3, struct.pack("<I", 10) + b"abcd")
    old = block("<", 2, struct.pack("<HHIIII", 0, 0, 0, 1_000_000, 3, 9) + b"xyz")
    first, second = read(section + interface + simple + old)
    assert (first.data, first.length) == (b"abcd", 10)
    assert (second.data, second.length, second.time_ns) == (b"xyz", 9, 10**9)


def test_a_second_section_begins_anew() -> None:
    assert len(read(PCAPNG + FILES["mixed-big-endian.pcapng"])) == 20


def test_an_empty_capture_has_no_packets() -> None:
    assert read(pcap([])) == [] and read(pcapng([])) == []


HUGE = struct.pack("<IIII", 0, 0, 0xFFFF_FFFF, 0xFFFF_FFFF)
SECTION = PCAPNG[:28]


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (b"", "no capture"),
        (b"GIF89a" * 10, "no capture"),
        (b"\x1f\x8b\x08" + bytes(30), "gunzip"),
        (PCAP[:20], "the file's header"),
        (PCAP[:30], "packet 1's header"),
        (PCAP[:60], "cut off at byte 60"),
        (PCAP[:4] + b"\x63\0\4\0" + PCAP[8:], "version 99.4"),
        (PCAP[:24] + HUGE, "4,294,967,295 captured bytes"),
        (SECTION[:10], "no byte order"),
        (SECTION[:8] + b"abcd" + SECTION[12:], "no byte order"),
        (SECTION + PCAPNG[28:40], "cut off"),
        (SECTION + struct.pack("<II", 6, 8), "8 bytes, which no block can have"),
        (SECTION + struct.pack("<II", 6, 13), "13 bytes"),
        (SECTION + struct.pack("<II", 6, 0xFFFF_FFF0), "is the most"),
        (SECTION + struct.pack("<III", 5, 12, 16), "12 bytes at its start and 16 at its end"),
        (SECTION + block("<", 6, struct.pack("<IIIII", 0, 0, 0, 0, 0)), "interface 0, which nothing"),
        (SECTION + block("<", 6, b"abcd"), "too short"),
        (SECTION + block("<", 1, b""), "too short"),
        (
            SECTION + block("<", 1, struct.pack("<HHI", 1, 0, 0)) + block("<", 6, struct.pack("<IIIII", 0, 0, 0, 9, 9)),
            "room for 0 bytes",
        ),
        (
            SECTION
            + block("<", 1, struct.pack("<HHI", 1, 0, 0))
            + block("<", 6, struct.pack("<IIIII", 0, 0, 0, MAX_CAPTURED + 1, 9)),
            "262,144 is the most",
        ),
        (SECTION + block("<", 1, struct.pack("<HHI", 1, 0, 0)) * 4097, "4096 interfaces"),
    ],
)
def test_a_broken_capture_is_an_error_that_says_where(contents: bytes, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(contents)
    assert said in str(caught.value)


def test_packets_before_the_broken_place_are_given() -> None:
    found = read_capture(io.BytesIO(PCAP[:-1]))
    assert [next(found).number for _ in range(9)] == list(range(1, 10))
    with pytest.raises(BadInput):
        next(found)


@given(st.sampled_from([PCAP, PCAPNG]), st.integers(0, 2000), st.binary(min_size=1, max_size=8), st.integers(0, 2000))
def test_a_damaged_capture_is_read_or_refused(contents: bytes, at: int, damage: bytes, length: int) -> None:
    broken = (contents[:at] + damage + contents[at + len(damage) :])[:length]
    try:
        found = read(broken)
    except BadInput as problem:
        assert str(problem)
    else:
        assert sum(len(packet.data) for packet in found) <= length


def test_the_script_writes_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.bpf.classic import make_captures

    monkeypatch.setattr(make_captures, "FOLDER", tmp_path)
    make_captures.main()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
