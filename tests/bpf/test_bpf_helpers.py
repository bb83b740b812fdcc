"""Helpers: what they give, what they refuse, and who may call them."""

import struct

import pytest

from kprobesim.bpf import HELPER_IDS, HELPER_NAMES, HELPERS, BpfFault, Helper, HelperContext, LoadError, helper_text
from kprobesim.linux_errno import Errno
from tests.bpf.rig import TOP, Rig, build_rig

COUNT_BY_PID = """
    .map counts hash key=4 value=8 max_entries=64
        call get_current_pid_tgid
        *(u32 *)(r10 -4) = r0
        r2 = r10
        r2 += -4
        r1 = map counts
        call map_lookup_elem
        if r0 == 0 goto new
        r1 = 1
        lock *(u64 *)(r0 +0) += r1
        goto out
    new:
        *(u64 *)(r10 -16) = 1
        r2 = r10
        r2 += -4
        r3 = r10
        r3 += -16
        r1 = map counts
        r4 = 0
        call map_update_elem
    out:
        r0 = 0
        exit
"""


def signed(value: int) -> int:
    return value - (value >> 63 << 64)


def test_counting_by_pid_counts() -> None:
    rig = build_rig(COUNT_BY_PID)
    for pid in (7, 8, 7, 7):
        rig.env.pid_tgid = 1 << 32 | pid
        rig.run()
    counts = {
        int.from_bytes(key, "little"): int.from_bytes(value, "little") for key, value in rig.maps["counts"].items()
    }
    assert counts == {7: 3, 8: 1}


SIMPLE = [
    ("ktime_get_ns", "now", 12345, 12345),
    ("ktime_get_boot_ns", "now", 12345, 12345),
    ("jiffies64", "now", 1_000_000_000, (1 << 32) - 300 * 250 + 250),
    ("get_smp_processor_id", "cpu", 3, 3),
    ("get_current_pid_tgid", "pid_tgid", 5 << 32 | 6, 5 << 32 | 6),
    ("get_current_uid_gid", "uid_gid", 1 << 32 | 2, 1 << 32 | 2),
    ("get_current_task", "task", 0xFFFF888000001000, 0xFFFF888000001000),
    ("get_func_ip", "ip", 0xFFFFFFFF81000000, 0xFFFFFFFF81000000),
    ("get_attach_cookie", "cookie", 99, 99),
    ("get_numa_node_id", "cpu", 1, 0),
]


@pytest.mark.parametrize(("name", "attribute", "value", "expected"), SIMPLE)
def test_a_helper_tells_of_the_machine(name: str, attribute: str, value: int, expected: int) -> None:
    rig = build_rig(f"call {name}\nexit")
    setattr(rig.env, attribute, value)
    assert rig.run() == expected


def test_random_numbers_are_the_same_every_time() -> None:
    rigs = [build_rig("call get_prandom_u32\nexit") for _ in range(2)]
    first, second = ([rig.run() for _ in range(20)] for rig in rigs)
    assert first == second
    assert len(set(first)) == 20 and all(0 < number < 1 << 32 for number in first)
    state = rigs[0].env.save()
    following = rigs[0].run()
    rigs[0].env.restore(state)
    assert rigs[0].run() == following


def test_comm_is_padded_with_zeros() -> None:
    rig = build_rig("r1 = r10\nr1 += -16\nr2 = 16\ncall get_current_comm\nexit")
    rig.env.comm = b"bash"
    rig.memory.write(TOP - 16, b"x" * 16)
    assert rig.run() == 0
    assert rig.memory.read(TOP - 16, 16) == b"bash" + bytes(12)


def test_a_long_comm_is_cut_and_closed() -> None:
    rig = build_rig("r1 = r10\nr1 += -16\nr2 = 4\ncall get_current_comm\nexit")
    rig.env.comm = b"kworker"
    rig.run()
    assert rig.memory.read(TOP - 16, 4) == b"kwo\0"


def read(helper: str, size: int, source: int) -> Rig:
    rig = build_rig(f"r1 = r10\nr1 += -16\nr2 = {size}\nr3 = {source:#x} ll\ncall {helper}\nexit")
    rig.memory.write(TOP - 16, b"x" * 16)
    return rig


KERNEL, USER = 0xFFFF_8880_1234_0000, 0x7000_0000


@pytest.mark.parametrize(
    ("helper", "source"),
    [
        ("probe_read", KERNEL),
        ("probe_read", USER),
        ("probe_read_kernel", KERNEL),
        ("probe_read_user", USER),
    ],
)
def test_probe_read_copies(helper: str, source: int) -> None:
    rig = read(helper, 8, source)
    rig.env.kernel[KERNEL] = rig.env.user[USER] = b"12345678"
    assert rig.run() == 0
    assert rig.memory.read(TOP - 16, 16) == b"12345678xxxxxxxx"


@pytest.mark.parametrize(
    ("name", "address", "errno"),
    [
        ("", 0x10, Errno.EFAULT),
        ("_str", 0x10, Errno.EFAULT),
        ("_user", 0x10, Errno.EFAULT),
        ("_user_str", 0x10, Errno.EFAULT),
        ("_kernel", 0x10, Errno.ERANGE),
        ("_kernel_str", 0x10, Errno.ERANGE),
        ("", 1 << 63, Errno.ERANGE),
        ("_kernel", 0xFFFF_7FFF_FFFF_FFFF, Errno.ERANGE),
        ("_kernel", 0xFFFF_8000_0000_0000, Errno.EFAULT),
        ("_kernel_str", (1 << 64) - 16, Errno.EFAULT),
    ],
)
def test_probe_read_of_nothing_is_an_error_and_zeros(name: str, address: int, errno: Errno) -> None:
    """Reference kprobes.md section 6.1: zero-fills the whole destination. Not even tried is ERANGE."""
    rig = read(f"probe_read{name}", 16, address)
    assert signed(rig.run()) == -errno
    assert rig.memory.read(TOP - 16, 16) == bytes(16)


@pytest.mark.parametrize(
    ("size", "length", "text"), [(16, 6, b"hello\0xx"), (4, 4, b"hel\0xxxx"), (1, 1, b"\0xxxxxxx"), (0, 0, b"xxxxxxxx")]
)
def test_probe_read_str_ends_at_the_zero_or_at_the_size(size: int, length: int, text: bytes) -> None:
    rig = read("probe_read_kernel_str", size, KERNEL)
    rig.env.kernel[KERNEL] = b"hello\0world" + bytes(20)
    assert rig.run() == length
    assert rig.memory.read(TOP - 16, 8) == text


def test_a_string_may_end_at_the_end_of_what_is_mapped() -> None:
    rig = read("probe_read_kernel_str", 16, KERNEL + 0xFFD)
    rig.env.kernel[KERNEL] = bytes(0xFFD) + b"ab\0"
    assert rig.run() == 3


def test_hostile_sizes_do_not_eat_the_host() -> None:
    for helper in ("probe_read", "probe_read_str", "get_current_comm"):
        rig = build_rig(f"r1 = r10\nr1 += -16\nw2 = -1\nr3 = 16\ncall {helper}\nexit")
        with pytest.raises(BpfFault):
            rig.run()


def printk(fmt: bytes, size: int | None = None) -> tuple[int, list[str]]:
    rig = build_rig(
        f"r1 = {TOP + 64:#x} ll\nr2 = {len(fmt) if size is None else size}\nr3 = -1\nr4 = 0x1234 ll\nr5 = 7\n"
        "call trace_printk\nexit"
    )
    rig.memory.write(TOP + 64, fmt)
    return signed(rig.run()), rig.env.printed


def test_trace_printk_writes_into_the_trace() -> None:
    assert printk(b"a %d b %lx c %u\n\0") == (16, ["a -1 b 1234 c 7\n"])
    assert printk(b"%lld %llu %x\0")[1] == ["-1 4660 7"]
    assert printk(b"%ld\0")[1] == ["-1"]
    assert printk(b"100%%\0") == (4, ["100%"])
    assert printk(b"%5d|%-5d|%05d\0")[1] == ["   -1|4660 |00007"]


BAD_FORMATS = [b"%d %d %d %d\0", b"%f\0", b"%hd\0", b"%o\0", b"%n\0", b"%\0", b"%pz\0", b"%*d\0"]
BAD_BYTES = [b"no zero", b"\x01\0", b"%\xe9\0", b"%p5\0", b"%sx\0", b"%pksx\0", b"%pI5\0"]


@pytest.mark.parametrize("fmt", BAD_FORMATS + BAD_BYTES)
def test_trace_printk_refuses_formats_as_linux_does(fmt: bytes) -> None:
    assert printk(fmt) == (-Errno.EINVAL, [])


def test_trace_printk_reads_strings_where_they_are() -> None:
    rig = build_rig("r0 = 0\nexit")
    rig.env.kernel[KERNEL], rig.env.user[USER] = b"kernel".ljust(600, b"\0"), b"user".ljust(600, b"\0")
    rig.memory.write(TOP - 64, b"%pks %pus %s %s.\0")
    args = (TOP - 32, 32)
    rig.memory.write(TOP - 32, struct.pack("<4Q", KERNEL, USER, USER, 1))
    assert HELPERS[HELPER_IDS["trace_vprintk"]].function(rig.bound.helpers, TOP - 64, 17, *args) == 18
    assert rig.env.printed == ["kernel user user ."]


def test_names_and_ids_of_helpers_are_linuxs() -> None:
    """Reference kprobes.md section 6.1."""
    assert (HELPER_NAMES[1], HELPER_NAMES[112], HELPER_NAMES[173]) == (
        "map_lookup_elem",
        "probe_read_user",
        "get_func_ip",
    )
    assert HELPER_IDS["user_ringbuf_drain"] == len(HELPER_NAMES) - 1 == 209
    assert (helper_text(1), helper_text(9999)) == ("bpf_map_lookup_elem#1", "unknown#9999")
    assert all(helper.name == HELPER_NAMES[number] for number, helper in HELPERS.items())


def test_a_helper_that_is_not_offered_is_refused_at_load() -> None:
    with pytest.raises(LoadError) as refused:
        build_rig("call skb_store_bytes\nexit")
    assert (refused.value.message, refused.value.errno) == ("unknown func bpf_skb_store_bytes#9", Errno.EINVAL)


def test_gpl_only_helpers_ask_for_the_licence() -> None:
    with pytest.raises(LoadError, match="cannot call GPL-restricted function from non-GPL compatible program"):
        build_rig(".license Proprietary\ncall get_current_task\nexit")
    build_rig(".license Dual BSD/GPL\ncall get_current_task\nexit")


def test_other_program_types_do_not_get_tracing_helpers() -> None:
    with pytest.raises(LoadError, match="unknown func bpf_get_current_comm#16"):
        build_rig(".type xdp\ncall get_current_comm\nexit")


def test_every_call_can_be_seen_from_around() -> None:
    rig = build_rig("r6 = 1\ncall get_smp_processor_id\nr1 = 0\ncall get_func_ip\nr0 = 0\nexit")
    rig.env.cpu, rig.env.ip = 2, 3
    told: list[tuple[str, tuple[int, ...], int]] = []

    def tell(helper: Helper, context: HelperContext, args: tuple[int, ...]) -> int:
        result = int(helper.function(context, *args))
        told.append((helper.name, args, result))
        return result

    bound = rig.program.bind(rig.memory, rig.env, around=tell)
    for stepped in (False, True):
        told.clear()
        assert (bound.start(TOP, TOP).run() if stepped else bound.run(TOP, TOP)) == 0
        assert told == [("get_smp_processor_id", (), 2), ("get_func_ip", (0,), 3)]
