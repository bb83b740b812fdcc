"""What filters return, instruction by instruction; classic interpreter, eBPF and x86-64 code each time."""

import struct

import pytest

from kprobesim.bpf import BenchEnvironment
from kprobesim.bpf.classic import Engine, Execution, Filter, FilterBench, FilterMode, Read, SeccompData
from kprobesim.bpf.errors import RunError
from kprobesim.bpf.skb import Device, Skb
from kprobesim.errors import BadInput
from tests.bpf.classic.make_captures import ethernet, icmp, ipv4, ipv6, tcp, udp
from tests.bpf.classic.programs import insns_of, run_all

DATA = bytes(range(1, 33))
PACKET = Skb(DATA)
MAX = 0xFFFF_FFFF


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("ld #7; add #0xffffffff; ret a", 6),
        ("ld #3; sub #5; ret a", MAX - 1),
        ("ld #0x10001; mul #0x10001; ret a", 0x20001),
        ("ld #-1; div #2; ret a", 0x7FFF_FFFF),
        ("ld #-1; mod #10; ret a", MAX % 10),
        ("ld #0xf0; and #0x3c; ret a", 0x30),
        ("ld #0xf0; or #0x0f; ret a", 0xFF),
        ("ld #0xff; xor #0x0f; ret a", 0xF0),
        ("ld #1; lsh #31; ret a", 0x8000_0000),
        ("ld #-1; rsh #31; ret a", 1),
        ("ld #1; neg; ret a", MAX),
        ("ld #1; ldx #33; lsh x; ret a", 2),
        ("ld #4; ldx #32; rsh x; ret a", 4),
        ("ld #9; ldx #0; div x; ret #1", 0),
        ("ld #9; ldx #0; mod x; ret #1", 0),
        ("ld #9; ldx #2; mod x; ret a", 1),
        ("ld #9; tax; ld #1; txa; ret a", 9),
        ("ret a", 0),
        ("txa; ret a", 0),
        ("ret #-1", MAX),
        ("ld #5; st M[15]; ld #0; ldx M[15]; txa; ret a", 5),
        ("ldx #6; stx M[0]; ld M[0]; ret a", 6),
        ("ld #0x80000000; jgt #0x7fffffff, l1, l0; l0: ret #0; l1: ret #1", 1),
        ("ld #0x80000000; jge #0x80000001, l1, l0; l0: ret #0; l1: ret #1", 0),
        ("ld #-1; jeq #0xffffffff, l1, l0; l0: ret #0; l1: ret #1", 1),
        ("ld #6; jset #8, l1, l0; l0: ret #0; l1: ret #1", 0),
        ("ld #6; ldx #2; jset x, l1, l0; l0: ret #0; l1: ret #1", 1),
        ("ld #len; ret a", 32),
        ("ldx #len; txa; ret a", 32),
        ("ja l1; l0: ret #0; l1: ret #1", 1),
    ],
)
def test_arithmetic_and_jumps_are_of_32_bits_without_sign(source: str, result: int) -> None:
    assert run_all(source, PACKET) == result


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("ld [0]; ret a", 0x01020304),
        ("ldh [1]; ret a", 0x0203),
        ("ldb [31]; ret a", 32),
        ("ldh [31]; ret #1", 0),
        ("ld [29]; ret #1", 0),
        ("ldb [32]; ret #1", 0),
        ("ld [0x7fffffff]; ret #1", 0),
        ("ldx #4; ldh [x + 2]; ret a", 0x0708),
        ("ldx #4; ldh [x + -4]; ret a", 0x0102),
        ("ldx #-2; ldb [x + 4]; ret a", 3),
        ("ldx #30; ld [x + 0]; ret #1", 0),
        ("ldxb 4*([2]&0xf); txa; ret a", 12),
        ("ld #5; ldxb 4*([2]&0xf); ret a", 5),
        ("ldxb 4*([32]&0xf); ret #1", 0),
        ("ldb [-1048576]; ret a", 15),
        ("ldb [-1048572]; ret a", 19),
        ("ldb [-2097152]; ret a", 1),
        ("ldb [-2097121]; ret a", 32),
        ("ldb [-2097120]; ret #1", 0),
        ("ldb [-2097153]; ret #1", 0),
        ("ldx #0xfffff000; ldb [x + 0]; ret #1", 0),
        ("ldxb 4*([-2097151]&0xf); txa; ret a", 8),
        ("ldxb 4*([-4096]&0xf); ret #1", 0),
    ],
)
def test_loads_are_big_endian_and_a_load_outside_ends_the_filter_with_0(source: str, result: int) -> None:
    """The network header is 14 bytes in, the link layer's at 0; an indirect load knows no ancillaries."""
    assert run_all(source, PACKET) == result


@pytest.mark.parametrize("cut", range(33))
def test_where_the_packet_is_cut_into_page_and_linear_part_changes_nothing(cut: int) -> None:
    parted = Skb(DATA[:cut], DATA[cut:])
    source = "ld [13]; st M[0]; ldh [x + 15]; ldx M[0]; add x; ldxb 4*([16]&0xf); add x; ret a"
    assert run_all(source, parted) == 0x0E0F1011 + 0x1011 + 4
    assert run_all("ld [29]; ret #1", parted) == 0


def test_bytes_that_a_capture_lost_count_but_cannot_be_read() -> None:
    cut_off = Skb(DATA, lost=100)
    assert run_all("ld #len; ret a", cut_off) == 132
    assert run_all("ldb [32]; ret #1", cut_off) == 0


def test_headers_before_the_data_are_reached_by_their_own_offsets() -> None:
    pulled = Skb(b"payload", headroom=b"ETHERNET-IP", network_offset=-2, mac_offset=-11)
    assert run_all("ldb [-1048576]; ret a", pulled) == ord("I")
    assert run_all("ldh [-2097152]; ret a", pulled) == int.from_bytes(b"ET", "big")
    assert run_all("ld [-1048577]; ret #1", pulled) == 0, "below the network header is the link layer's, far beyond it"


FACTS = Skb(
    DATA,
    protocol=0x86DD, pkt_type=3, mark=0x1234_5678, queue_mapping=0xABCD, hash=0xDEAD_BEEF, vlan_tci=0xE005,
    vlan_present=True, vlan_proto=0x88A8, dev=Device(577, 588),
)  # fmt: skip


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("proto", 0x86DD), ("type", 3), ("ifidx", 577), ("hatype", 588), ("mark", 0x1234_5678), ("queue", 0xABCD),
        ("rxhash", 0xDEAD_BEEF), ("vlan_tci", 0xE005), ("vlan_avail", 1), ("vlan_pr", 1), ("vlan_tpid", 0x88A8),
        ("cpu", 3),
    ],
)  # fmt: skip
def test_ancillary_loads_give_facts_whatever_their_size(word: str, value: int) -> None:
    env = BenchEnvironment()
    env.cpu = 3
    for name in ("ld", "ldh", "ldb"):
        assert run_all(f"{name} #{word}; ret a", FACTS, env) == value


def test_xor_with_x_hides_among_the_ancillary_loads() -> None:
    assert run_all("ld #0xf0; ldx #0xff; ldb [-4056]; ret a", PACKET) == 0x0F


def test_random_numbers_are_the_machines() -> None:
    program = Filter(insns_of("ld #rand; tax; ld #rand; sub x; ret a"))
    said = {FilterBench(program, BenchEnvironment(7), engine).run(PACKET) for engine in Engine}
    assert len(said) == 1 and said != {0}


def test_without_a_device_its_number_ends_the_filter_with_a() -> None:
    """The converted load exits with R0 untouched, and R0 is A."""
    assert run_all("ld #42; ld #ifidx; ret #1", Skb(DATA, dev=None)) == 42
    assert run_all("ld #hatype; ret #1", Skb(DATA, dev=None)) == 0


FRAMES = {
    "icmp": (0x0800, ethernet(0x0800, ipv4(1, icmp(8, b"x" * 40))), 14 + 20 + 8),
    "tcp": (0x0800, ethernet(0x0800, ipv4(6, tcp(1, 2, 0))), 14 + 20 + 20),
    "udp behind ip options": (0x0800, ethernet(0x0800, ipv4(17, udp(1, 2, b"data"), options=bytes(8))), 14 + 28 + 8),
    "first fragment": (0x0800, ethernet(0x0800, ipv4(17, udp(1, 2, b"data"), fragment=0x2000)), 14 + 20 + 8),
    "later fragment": (0x0800, ethernet(0x0800, ipv4(17, bytes(40), fragment=9)), 14 + 20),
    "ipv6": (0x86DD, ethernet(0x86DD, ipv6(6, tcp(1, 2, 0))), 14 + 40 + 20),
    "ipv6 hop-by-hop": (0x86DD, ethernet(0x86DD, ipv6(0, bytes([17, 0]) + bytes(6) + udp(1, 2, b"d"))), 14 + 48 + 8),
    "ipv6 fragment": (0x86DD, ethernet(0x86DD, ipv6(44, bytes([17, 0, 0, 8]) + bytes(20))), 14 + 48),
    "vlan": (0x8100, ethernet(0x8100, b"\0\5\x08\0" + ipv4(17, udp(1, 2, b""))), 14 + 4 + 20 + 8),
    "ip in ip": (0x0800, ethernet(0x0800, ipv4(4, ipv4(17, udp(1, 2, b"")))), 14 + 40 + 8),
    "gre": (0x0800, ethernet(0x0800, ipv4(47, b"\0\0\x08\0" + ipv4(1, icmp(8, b"")))), 14 + 24 + 20 + 8),
    "gre with key": (
        0x0800,
        ethernet(0x0800, ipv4(47, b"\x20\0\x08\0key!" + ipv4(17, udp(1, 2, b"")))),
        14 + 28 + 20 + 8,
    ),
    "pppoe": (0x8864, ethernet(0x8864, b"\x11\0\0\1\0\0\0\x21" + ipv4(17, udp(1, 2, b""))), 14 + 8 + 20 + 8),
    "arp": (0x0806, ethernet(0x0806, bytes(28)), 14),
    "unknown": (0x1234, ethernet(0x1234, bytes(28)), 0),
    "cut in the ip header": (0x0800, ethernet(0x0800, ipv4(1, b"")[:12]), 0),
    "cut in the tcp header": (0x0800, ethernet(0x0800, ipv4(6, tcp(1, 2, 0)[:8])), 14 + 20),
}


@pytest.mark.parametrize("name", FRAMES)
def test_the_payload_is_found_behind_the_headers(name: str) -> None:
    protocol, frame, offset = FRAMES[name]
    assert run_all("ld #poff; ret a", Skb(frame, protocol=protocol)) == offset
    assert run_all("ld #poff; ret a", Skb(frame[:20], frame[20:], protocol=protocol)) == offset


def nla(kind: int, data: bytes) -> bytes:
    return struct.pack("<HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


ATTRIBUTES = nla(1, b"abc") + nla(2, nla(7, b"12") + nla(8, b"")) + nla(3, b"x")


@pytest.mark.parametrize(
    ("load", "start", "kind", "offset"),
    [
        ("nla", 0, 1, 0), ("nla", 0, 2, 8), ("nla", 0, 3, 24), ("nla", 8, 1, 0), ("nla", 0, 9, 0),
        ("nlan", 8, 7, 12), ("nlan", 8, 8, 20), ("nlan", 8, 3, 0), ("nlan", 0, 1, 0),
        ("nla", 29, 1, 0), ("nla", 0xFFFF_FFFF, 1, 0), ("nla", 1, 1, 0),
    ],
)  # fmt: skip
def test_netlink_attributes_are_found_by_type(load: str, start: int, kind: int, offset: int) -> None:
    source = f"ld #{start}; ldx #{kind}; ld #{load}; ret a"
    assert run_all(source, Skb(ATTRIBUTES)) == offset
    assert run_all(source, Skb(ATTRIBUTES[:4], ATTRIBUTES[4:])) == 0, "not in a packet with pages"


def test_each_state_shows_registers_cells_and_the_bytes_looked_at() -> None:
    program = Filter(insns_of("ldh [12]; st M[3]; ldxb 4*([2]&0xf); ldb [x + 1]; ld #len; ret a"))
    execution = Execution(program, PACKET, BenchEnvironment())
    states = [execution.step() for _ in range(6)]
    assert [state.reads for state in states] == [(Read(12, 2),), (), (Read(2, 1),), (Read(13, 1),), (), ()]
    assert [state.a for state in states] == [0x0D0E, 0x0D0E, 0x0D0E, 14, 32, 32]
    assert [state.x for state in states] == [0, 0, 12, 12, 12, 12]
    assert [state.mem[3] for state in states] == [None] + [0x0D0E] * 5
    assert [state.next for state in states] == [1, 2, 3, 4, 5, None]
    assert [state.result for state in states] == [None] * 5 + [32]
    with pytest.raises(RunError):
        execution.step()


def test_a_run_goes_back_to_a_saved_state() -> None:
    execution = Execution(Filter(insns_of("ld #1; st M[0]; add #1; ret a")), PACKET, BenchEnvironment())
    execution.step()
    saved = execution.save()
    assert execution.run() == 2
    execution.restore(saved)
    assert (execution.pc, execution.a, execution.mem[0], execution.finished) == (1, 1, None, False)
    assert execution.run() == 2


def test_a_system_call_is_filtered_by_number_architecture_and_arguments() -> None:
    source = "ld [4]; jeq #0xc000003e, l1, l9; l1: ld [0]; jeq #39, l2, l9; l2: ld [16]; ret a; l9: ret #0x80000000"
    program = Filter(insns_of(source), FilterMode.SECCOMP)
    for engine in Engine:
        bench = FilterBench(program, BenchEnvironment(), engine)
        call = SeccompData(39, args=(0x1122_3344_5566_7788, 0, 0, 0, 0, 0))
        assert bench.run(call) == 0x5566_7788, "the low half comes first"
        assert bench.run(SeccompData(40)) == 0x8000_0000
        assert bench.run(SeccompData(39, arch=0x4000_0003)) == 0x8000_0000


def test_a_filter_of_packets_cannot_look_at_a_system_call() -> None:
    packets, calls = Filter(insns_of("ret a")), Filter(insns_of("ret a"), FilterMode.SECCOMP)
    for program, context in ((packets, SeccompData(1)), (calls, PACKET)):
        with pytest.raises(TypeError):
            Execution(program, context, BenchEnvironment())


def test_filters_take_turns_on_one_cpu() -> None:
    benches = [FilterBench(Filter(insns_of(f"ret #{number}")), BenchEnvironment(), Engine.JIT) for number in (1, 2)]
    assert [bench.run(PACKET) for bench in (*benches, *benches)] == [1, 2, 1, 2]


def test_a_packet_of_256_kib_fits_and_one_of_a_megabyte_does_not() -> None:
    for engine in (Engine.EBPF, Engine.JIT):
        bench = FilterBench(Filter(insns_of("ldb [262143]; ret a")), BenchEnvironment(), engine)
        assert bench.run(Skb(bytes(262_143) + b"\x07")) == 7
        with pytest.raises(BadInput):
            bench.run(Skb(bytes(1 << 20)))


def test_the_converted_filter_can_be_stepped() -> None:
    bench = FilterBench(Filter(insns_of("ldb [3]; ret a")), BenchEnvironment())
    execution = bench.start(PACKET)
    assert execution.run() == 4 and execution.executed == 7 + 5 + 1
