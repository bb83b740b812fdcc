"""V4, V5: contexts, sockets and helpers of the program types that are not for tracing."""

import pytest

from kprobesim.bpf import PROG_TYPES
from kprobesim.bpf.helper_names import HELPER_NAMES
from kprobesim.bpf.helpers.prototypes import prototype_for
from kprobesim.bpf.verifier import LEVEL2, Verdict, parse_map_spec, verify_request
from tests.bpf.verifier.bench import accepted, refused

END = "r0 = 0\nexit\n"
READ, WRITE = "r", "w"


def access(kind: str, off: int, size: int, how: str = READ) -> str:
    bits = size * 8
    if how == WRITE:
        return f".type {kind}\nr2 = 0\n*(u{bits} *)(r1 +{off}) = r2\n{END}"
    return f".type {kind}\nr2 = *(u{bits} *)(r1 +{off})\n{END}"


@pytest.mark.parametrize(
    ("kind", "off", "size", "how"),
    [
        ("socket_filter", 0, 4, READ),
        ("socket_filter", 68, 1, READ),
        ("socket_filter", 56, 8, WRITE),
        ("sched_cls", 152, 8, WRITE),
        ("sched_cls", 180, 1, READ),
        ("cgroup_skb", 96, 4, READ),
        ("cgroup_skb", 152, 8, WRITE),
        ("lwt_out", 8, 4, WRITE),
        ("sk_skb", 44, 4, WRITE),
        ("perf_event", 168, 1, READ),
        ("perf_event", 176, 8, READ),
        ("raw_tracepoint", 88, 8, READ),
        ("sock_ops", 4, 4, WRITE),
        ("sock_ops", 168, 8, READ),
        ("sk_msg", 68, 4, READ),
        ("sk_reuseport", 16, 2, READ),
        ("cgroup_device", 0, 1, READ),
        ("cgroup_sysctl", 4, 4, WRITE),
        ("cgroup_sock", 4, 4, READ),
        ("sk_lookup", 36, 2, READ),
        ("lirc_mode2", 0, 4, READ),
    ],
)
def test_fields_that_may_be_used(kind: str, off: int, size: int, how: str) -> None:
    """V4."""
    accepted(access(kind, off, size, how))


@pytest.mark.parametrize(
    ("kind", "off", "size", "how"),
    [
        ("socket_filter", 76, 4, READ),
        ("socket_filter", 160, 4, READ),
        ("socket_filter", 0, 8, READ),
        ("sched_cls", 180, 1, WRITE),
        ("sched_cls", 92, 4, READ),
        ("lwt_in", 44, 4, WRITE),
        ("sk_skb", 8, 4, READ),
        ("flow_dissector", 0, 4, READ),
        ("perf_event", 4, 8, READ),
        ("perf_event", 0, 4, READ),
        ("raw_tracepoint", 96, 8, READ),
        ("sock_ops", 8, 4, WRITE),
        ("sk_msg", 0, 4, READ),
        ("sk_reuseport", 20, 1, READ),
        ("cgroup_device", 4, 1, READ),
        ("cgroup_sysctl", 0, 4, WRITE),
        ("cgroup_sock", 40, 4, READ),
        ("xdp", 20, 4, READ),
        ("lirc_mode2", 0, 1, READ),
    ],
)
def test_fields_that_may_not(kind: str, off: int, size: int, how: str) -> None:
    """V4."""
    refused(access(kind, off, size, how), f"invalid bpf_context access off={off} size={size}")


def test_attach_types_decide() -> None:
    """V4: some fields, helpers and results exist at some hooks only."""
    user_ip4 = access("cgroup_sock_addr", 4, 4, WRITE)
    accepted(user_ip4, attach_type="cgroup_inet4_connect")
    said = "invalid bpf_context access off=4 size=4"
    refused(user_ip4, said, attach_type="cgroup_inet6_connect")
    accepted(access("cgroup_sock", 0, 4, WRITE))
    refused(access("cgroup_sock", 0, 4, WRITE), "invalid bpf_context access off=0 size=4",
            attach_type="cgroup_inet4_post_bind")  # fmt: skip
    accepted(access("xdp", 20, 4), attach_type="xdp_devmap")
    bind = ".type cgroup_sock_addr\nr0 = 2\nexit\n"
    accepted(bind, attach_type="cgroup_inet4_bind")
    said = "At program exit the register R0 has value (0x2; 0x0) should have been in (0x0; 0x1)"
    refused(bind, said, 22, attach_type="cgroup_inet4_connect")
    said = "unknown func bpf_set_retval#187"
    refused(f".type cgroup_skb\nr1 = 1\ncall bpf_set_retval\n{END}", said, 22)
    accepted(f".type cgroup_sock\nr1 = 1\ncall bpf_set_retval\n{END}")


def test_some_types_must_say_where_they_attach() -> None:
    from tests.bpf.verifier.bench import check

    verdict = check(f".type cgroup_sockopt\n{END}")
    assert (verdict.errno, verdict.log) == (22, "")
    accepted(f".type cgroup_sockopt\n{END}", attach_type="cgroup_getsockopt")


def test_packets_are_read_and_written_by_some() -> None:
    """V4."""
    packet = """
        r2 = *(u{bits} *)(r1 +{data})
        r3 = *(u{bits} *)(r1 +{end})
        r4 = r2
        r4 += 8
        if r4 > r3 goto out
    """
    sk_msg = f".type sk_msg\n{packet.format(bits=64, data=0, end=8)}"
    accepted(f"{sk_msg}*(u8 *)(r2 +7) = 1\nout:\n{END}")
    said = "R2 offset is outside of the packet"
    refused(f"{sk_msg}*(u8 *)(r2 +8) = 1\nout:\n{END}", said)
    lwt = f".type lwt_in\n{packet.format(bits=32, data=76, end=80)}"
    accepted(f"{lwt}r0 = *(u8 *)(r2 +0)\nout:\n{END}")
    refused(f"{lwt}*(u8 *)(r2 +0) = 1\nout:\n{END}", "cannot write into packet")


def test_flow_keys_are_read_and_written() -> None:
    """V4."""
    text = ".type flow_dissector\nr2 = *(u64 *)(r1 +144)\n"
    accepted(f"{text}r0 = *(u16 *)(r2 +0)\n*(u16 *)(r2 +2) = r0\n{END}")
    said = "invalid access to flow keys off=56 size=1"
    refused(f"{text}r0 = *(u8 *)(r2 +56)\n{END}", said)
    refused(f"{text}r2 += r2\n{END}", "R2 pointer += pointer prohibited")


def test_sockets_have_fields() -> None:
    """V13: through a pointer from the context, once it is known not to be NULL."""
    text = ".type sched_cls\nr2 = *(u64 *)(r1 +168)\nif r2 == 0 goto out\n"
    accepted(f"{text}r0 = *(u32 *)(r2 +4)\nout:\n{END}")
    refused(f"{text}r0 = *(u32 *)(r2 +8)\nout:\n{END}", "R2 invalid sock_common access off=8 size=4")
    refused(f"{text}*(u32 *)(r2 +4) = 0\nout:\n{END}", "R2 cannot write into sock_common")
    full = f"{text}r1 = r2\ncall bpf_sk_fullsock\nif r0 == 0 goto out\n"
    accepted(f"{full}r1 = *(u16 *)(r0 +48)\nout:\n{END}")
    refused(f"{full}r1 = *(u16 *)(r0 +50)\nout:\n{END}", "R0 invalid sock access off=50 size=2")


def test_looked_up_sockets_must_be_released() -> None:
    """V13."""
    lookup = """
        .type sched_cls
        *(u64 *)(r10 -16) = 0
        *(u64 *)(r10 -8) = 0
        r2 = r10
        r2 += -16
        r3 = 12
        r4 = 0
        r5 = 0
        call bpf_sk_lookup_tcp
    """
    refused(lookup + END, "Unreleased reference id=2 alloc_insn=7", 22)
    accepted(f"{lookup}if r0 == 0 goto out\nr1 = r0\ncall bpf_sk_release\nout:\n{END}")


def test_local_storage_takes_no_flags() -> None:
    """V5."""
    request = {
        "prog_type": "CGROUP_SKB",
        "log_level": LEVEL2,
        "maps": {"0": "CGROUP_STORAGE key=16 val=64"},
        "insns": "1811000000000000" + "0" * 16 + "b7020000{:02x}000000" + "8500000051000000" + "b700000000000000"
        "9500000000000000",
    }

    def with_flags(flags: int) -> Verdict:
        return verify_request({**request, "insns": request["insns"].format(flags)})  # type: ignore[attr-defined]

    assert with_flags(0).errno == 0
    refusal = with_flags(1).rejected
    assert refusal is not None
    assert refusal.message == "get_local_storage() doesn't support non-zero flags"


def test_where_the_traced_function_is_known() -> None:
    """V5."""
    call = f"call bpf_get_func_ip\n{END}"
    accepted(call)
    refused(f".type tracepoint\n{call}", "func bpf_get_func_ip#173 not supported for program type 5", 524)


def test_writable_tracepoints_have_a_buffer() -> None:
    """V4."""
    text = ".type raw_tracepoint_writable\nr2 = *(u64 *)(r1 +0)\n"
    accepted(f"{text}r0 = *(u32 *)(r2 +8)\n*(u32 *)(r2 +4) = r0\n{END}")
    said = "R2 invalid tracepoint buffer access: off=-4, size=4"
    refused(f"{text}r0 = *(u32 *)(r2 -4)\n{END}", said)


def test_system_call_programs_sleep() -> None:
    refused(f".type syscall\n{END}", "Syscall programs can only be sleepable", 22)
    accepted(f".type syscall\n{END}", sleepable=True)


def test_every_program_type_has_prototypes() -> None:
    """V5."""
    for kind in PROG_TYPES[1:]:
        found = [prototype_for(number, kind) for number in range(len(HELPER_NAMES))]
        assert kind in ("struct_ops", "ext") or sum(proto is not None for proto in found) >= 14
        assert all(proto.id == number for number, proto in enumerate(found) if proto is not None)


@pytest.mark.parametrize(
    ("text", "kind", "value", "inner"),
    [
        ("ARRAY_OF_MAPS 4/4/1 inner ARRAY 4/48/1", "array_of_maps", 4, 48),
        ("map-in-map (inner: HASH key=4 val=8)", "array_of_maps", 4, 8),
        ("BPF_MAP_TYPE_SOCKHASH 4/4/1", "sockhash", 4, None),
        ("Stack trace: val=8", "stack_trace", 8, None),
    ],
)
def test_maps_may_be_described_freely(text: str, kind: str, value: int, inner: int | None) -> None:
    found = parse_map_spec(text)
    assert (found.type, found.value_size) == (kind, value)
    assert (found.inner.value_size if found.inner else None) == inner
