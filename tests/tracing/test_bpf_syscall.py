"""bpf(2), and the filters that come in by it (Linux kernel/bpf/syscall.c, net/core/filter.c; reference bpf.md)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobesim.bpf import BenchEnvironment, FlatMemory, Insn, LoadError
from kprobesim.bpf.helpers import HELPERS, HelperContext
from kprobesim.bpf.packet_program import PacketProgram, convert_packet_access
from kprobesim.bpf.skb import GuestSkb, place_skb
from kprobesim.bpf.skb.packet import Skb
from kprobesim.lab import Lab
from kprobesim.linux_errno import Errno
from tests.bpf.object.objects import PROGRAMS
from tests.lab.experiment import only, state_of
from tests.tracing.test_filters import lived, printed

BASE = 0xFFFF_8880_0000_0000
PIN = "/sys/fs/bpf/keep"
EXIT = Insn(0x95)


def left(lab: Lab) -> tuple[set[str], set[str]]:
    """The programs and maps that there are."""
    return set(lab.bpf.programs), set(lab.bpf.maps)


@pytest.mark.parametrize("jit", [0, 1])
@pytest.mark.parametrize("profile", ["bare", "server"])
def test_the_kernel_does_and_refuses_what_linux_does(profile: str, jit: int) -> None:
    """Sizes of attributes, maps, the verifier's log, sockets, tail calls, maps in maps, names, who may do it."""
    lab = lived("bpftests", jit=jit, profile=profile)
    assert printed(lab) == "bpftests: ok"
    assert left(lab) == (set(), set())


def test_two_cpus_do_so_too() -> None:
    assert printed(lived("bpftests", cpus=2)) == "bpftests: ok"


@pytest.mark.parametrize("jit", [0, 1])
def test_an_ebpf_program_drops_a_real_packet_and_lets_another_pass(jit: int) -> None:
    lab = lived("sockbpf a apple pear avocado", jit=jit)
    assert printed(lab) == "apple\navocado\nkept 2, dropped 1"
    assert [event.fields["verdict"] for event in only(lab, "socket.verdict")] == ["keep", "drop", "keep"]
    (load,) = only(lab, "bpf.load")
    assert load.fields["prog"] == "keep_letter"
    entered = only(lab, "bpf.enter")
    assert len(entered) == 3
    assert all(("jited" in event.fields) == bool(jit) for event in entered)
    assert [event.fields["new"][0] for event in only(lab, "map.update")] == [1, 1, 2]


def test_a_program_that_the_verifier_refuses_is_told_with_its_reason() -> None:
    refused = only(lived("bpftests"), "bpf.refuse")
    assert {"R3 !read_ok"} <= {event.fields["reason"] for event in refused}
    assert {int(Errno.EACCES), int(Errno.EBADF), int(Errno.ENOSPC)} <= {event.fields["errno"] for event in refused}


def test_the_verifiers_log_reaches_the_program_that_asked_for_it() -> None:
    lines = printed(lived("sockbpf -v a")).splitlines()
    assert lines[:2] == ["func#0 @0", "0: R1=ctx(off=0,imm=0) R10=fp0"]
    assert lines[-1].startswith("processed ")


def test_objects_live_as_long_as_a_descriptor_a_socket_or_a_name_has_them() -> None:
    lab = lived("sockbpf a apple")
    assert left(lab) == (set(), set())
    assert [event.fields["prog"] for event in only(lab, "bpf.free")] == ["keep_letter"]
    assert [event.fields["map"] for event in only(lab, "map.free")] == ["sockbpf_counts"]

    lab = lived(f"sockbpf -p {PIN} a", f"sockbpf -g {PIN} axe bow", "ls /sys/fs/bpf")
    assert printed(lab) == "kept 0, dropped 0\naxe\nkeep"
    assert left(lab) == ({"keep_letter"}, {"sockbpf_counts"})
    lab.type(f"rm {PIN}")
    lab.run()
    assert left(lab) == (set(), set())


def test_what_is_pinned_can_be_taken_back_and_done_again() -> None:
    lab = lived("true")
    beginning = lab.moment.insn
    lab.type(f"sockbpf -p {PIN} a axe")
    lab.run()
    end, before = lab.moment.insn, state_of(lab)
    assert lab.bpf.user.bpffs.listing() == ("keep",)
    lab.seek(beginning)
    assert lab.bpf.user.bpffs.listing() == ()
    assert left(lab) == (set(), set())
    lab.seek(end)
    assert state_of(lab) == before
    assert lab.bpf.user.bpffs.listing() == ("keep",)


@pytest.mark.parametrize("jit", [0, 1])
def test_no_memory_is_lost(jit: int) -> None:
    def room(times: int) -> tuple[int, int]:
        lab = lived(*["sockbpf a apple pear"] * times, jit=jit)
        free = lab.kernel.read_u64(lab.kernel.symbol("nr_free_pages"))
        arena = lab.bpf._arena
        assert arena is not None
        return free, arena.used

    (few, used), (many, used_later) = room(1), room(5)
    assert used_later == used
    # A slab that happens to be half full may hold a page more.
    assert many >= few - 4


def test_a_map_that_an_object_wants_pinned_has_its_name_and_the_next_object_finds_it() -> None:
    lab = lived("true")
    found = lab.open_object(PROGRAMS / "ok_count.o")
    wanted = replace(found, maps=tuple(replace(one, pinned=True) for one in found.maps))
    first = lab.load_object(wanted, attach=False)
    lab.type("ls /sys/fs/bpf")
    lab.run()
    assert set(printed(lab).split()) == {name.replace(".", "_") for name in first.maps}
    assert lab.load_object(wanted, attach=False).maps == first.maps
    lab.type("rm " + " ".join(f"/sys/fs/bpf/{name}" for name in printed(lab).split()))
    lab.run()
    assert not {*lab.load_object(wanted, attach=False).maps.values()} & {*first.maps.values()}


# Accesses to the packet


def skb_in(memory: FlatMemory, payload: bytes = b"0123456789") -> int:
    return place_skb(memory, BASE, Skb(linear=payload, protocol=0x0800, mark=0x11223344, hash=0xA1B2C3D4))


def result(insns: list[Insn], ctx: set[int], payload: bytes = b"0123456789") -> int:
    """What a program returns for a packet."""
    memory = FlatMemory(BASE, 1 << 14)
    skb = skb_in(memory, payload)
    program = PacketProgram("p", "socket_filter", convert_packet_access(insns, ctx), {}, "GPL")
    return program.bind(memory, BenchEnvironment()).run(skb, BASE + (1 << 14))


@given(
    field=st.sampled_from([(0, 10), (8, 0x11223344), (16, 0x0008), (68, 0xA1B2C3D4)]),
    size=st.sampled_from([1, 2, 4]),
    place=st.integers(0, 3),
)
def test_a_part_of_a_field_is_the_part_of_the_whole(field: tuple[int, int], size: int, place: int) -> None:
    """convert_ctx_accesses: narrower loads."""
    offset, value = field
    inside = place // size * size
    code = {1: 0x71, 2: 0x69, 4: 0x61}[size]
    got = result([Insn(code, 0, 1, offset + inside), EXIT], {0})
    assert got == value >> 8 * inside & (1 << 8 * size) - 1


@given(st.binary(min_size=1, max_size=40), st.integers(0, 60), st.sampled_from([1, 2, 4]), st.booleans())
def test_a_load_from_the_packet_is_big_endian_and_ends_the_program_outside(
    payload: bytes, offset: int, size: int, indirect: bool
) -> None:
    """bpf_gen_ld_abs."""
    code = {1: 0x30, 2: 0x28, 4: 0x20}[size] + (0x20 if indirect else 0)
    start = [Insn(0xBF, 6, 1), Insn(0xB7, 7, imm=offset // 2 if indirect else 0)]
    load = Insn(code, 0, 7 if indirect else 0, imm=offset - offset // 2 if indirect else offset)
    piece = payload[offset : offset + size]
    # A jump over the load shows that distances are kept.
    got = result([*start, Insn(0x05, off=1), EXIT, load, EXIT], set(), payload)
    wanted = int.from_bytes(piece, "big") if len(piece) == size else 0
    # A word with its highest bit set comes back from the helper as a positive long.
    assert got == wanted


def test_a_field_that_no_packet_here_has_is_refused_as_a_misconfigured_verifier_would() -> None:
    with pytest.raises(LoadError, match="bpf verifier is misconfigured") as refused:
        convert_packet_access([Insn(0x61, 0, 1, 164), EXIT], {0})
    assert refused.value.errno is Errno.EINVAL


def test_cb_is_cleared_for_the_program_and_no_other_access_asks_for_that() -> None:
    assert convert_packet_access([Insn(0x63, 1, 2, 48), EXIT], {0}).cb_access
    assert not convert_packet_access([Insn(0x61, 0, 1, 0), Insn(0x61, 0, 10, 52), EXIT], {0}).cb_access


@given(st.integers(0, 30), st.integers(1, 20), st.sampled_from(["skb_load_bytes", "skb_load_bytes_relative"]))
def test_bytes_of_the_packet_are_copied_or_zeros(offset: int, size: int, name: str) -> None:
    """bpf_skb_load_bytes, bpf_skb_load_bytes_relative."""
    memory = FlatMemory(BASE, 1 << 14)
    payload = b"0123456789abcdefghij"
    skb = place_skb(memory, BASE, Skb(linear=payload, headroom=b"", network_offset=4))
    helper = next(one for one in HELPERS.values() if one.name == name)
    to = BASE + (1 << 13)
    memory.write(to, b"x" * 32)
    relative = name.endswith("relative")
    arguments = (skb, offset, to, size, 1) if relative else (skb, offset, to, size)
    begin = offset + 4 if relative else offset
    piece = payload[begin : begin + size]
    answer = helper.function(HelperContext(memory, BenchEnvironment(), {}, None), *arguments)
    assert GuestSkb(memory, skb).network_offset == 4
    assert answer == (0 if len(piece) == size else -Errno.EFAULT)
    assert memory.read(to, size) == (piece if len(piece) == size else bytes(size))
