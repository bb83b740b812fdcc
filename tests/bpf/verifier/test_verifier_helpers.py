"""V5, V12, V13: helpers, what they take, what they give, and what must be given back."""

import inspect

import pytest

from kprobesim.bpf.helper_names import HELPER_IDS
from kprobesim.bpf.helpers import HELPERS
from kprobesim.bpf.helpers.prototypes import prototype_for
from tests.bpf.verifier.bench import LOOKUP, accepted, check, refused

END = "r0 = 0\nexit\n"


def test_helpers_are_allowed_by_program_type() -> None:
    """V5."""
    refused(f"call bpf_skb_load_bytes\n{END}", "unknown func bpf_skb_load_bytes#26", 22)
    refused(f"call bpf_ktime_get_coarse_ns\n{END}", "unknown func bpf_ktime_get_coarse_ns#160", 22)
    accepted(f".type sched_cls\ncall bpf_ktime_get_coarse_ns\n{END}")
    override = "r2 = 0\ncall bpf_override_return\n" + END
    accepted(override)
    refused(f".type tracepoint\n{override}", "unknown func bpf_override_return#58", 22)


def test_numbers_that_are_no_helper() -> None:
    """V5."""
    refused(f"call 1234567\n{END}", "invalid func unknown#1234567", 22)
    refused(f"call 0\n{END}", "unknown func bpf_unspec#0", 22)


def test_every_prototype_belongs_to_its_number() -> None:
    """V5: bpftool counts 80 helpers within reach of a kprobe with CONFIG_BPF_KPROBE_OVERRIDE, and does not show 3."""
    found = [p for number in HELPER_IDS.values() if (p := prototype_for(number, "kprobe")) is not None]
    assert all(HELPER_IDS[proto.name] == proto.id for proto in found)
    hidden = {"trace_printk", "trace_vprintk", "probe_write_user"}
    assert len([proto for proto in found if proto.name not in hidden]) == 77
    assert hidden <= {proto.name for proto in found}


def test_prototypes_agree_with_the_helpers_that_exist() -> None:
    """V5: every helper that exists takes the arguments of its prototype and some program type may call it."""
    types = ("kprobe", "tracing", "xdp", "socket_filter")
    for number, helper in HELPERS.items():
        protos = [prototype_for(number, kind, kprobe_override=True) for kind in types]
        found = [proto for proto in protos if proto is not None]
        if not found and (of_events := prototype_for(number, "perf_event")) is not None:
            found = [of_events]
        assert found, helper.name
        for proto in found:
            assert (proto.name, proto.gpl_only, proto.ret) == (helper.name, helper.gpl_only, helper.ret)
            if proto.id != HELPER_IDS["get_stack"]:  # of raw tracepoints it wants the buffer initialised
                assert helper.args[: len(proto.args)] == proto.args
        takes = inspect.signature(helper.steps or helper.function).parameters.values()
        if not any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in takes):
            assert len(takes) == 1 + len(helper.args), helper.name


NO_CGROUPS_NO_LOCAL_STORAGE = {"current_task_under_cgroup", "task_storage_get", "task_storage_delete"}
TIMERS = {"timer_init", "timer_set_callback", "timer_start", "timer_cancel"}
NO_SUCH_SOCKETS = {
    *("sk_storage_get", "sk_storage_delete", "get_socket_cookie", "sock_from_file"),
    *("skc_to_tcp6_sock", "skc_to_tcp_sock", "skc_to_tcp_timewait_sock", "skc_to_tcp_request_sock"),
    *("skc_to_udp6_sock", "skc_to_unix_sock", "skc_to_mptcp_sock", "xdp_output", "xdp_get_buff_len"),
}


@pytest.mark.parametrize(
    ("prog_type", "more"),
    [
        ("kprobe", set()),
        ("tracepoint", set()),
        ("raw_tracepoint", set()),
        ("perf_event", set()),
        ("tracing", NO_SUCH_SOCKETS),
    ],
)
def test_what_a_program_may_call_and_does_not_exist_here_is_known(prog_type: str, more: set[str]) -> None:
    """V5: timers are refused to tracing programs anyway; the rest needs what the machine lacks."""
    missing = {
        proto.name
        for number in HELPER_IDS.values()
        if (proto := prototype_for(number, prog_type)) is not None and number not in HELPERS
    }
    assert missing == TIMERS | NO_CGROUPS_NO_LOCAL_STORAGE | more
    assert len(HELPERS) >= 60


def test_licences_matter() -> None:
    """V5."""
    text = f".license Proprietary\ncall bpf_get_current_task\n{END}"
    refused(text, "cannot call GPL-restricted function from non-GPL compatible program", 22)


def test_sleeping_helpers_are_for_others() -> None:
    """V5."""
    text = f"r1 = r10\nr1 += -16\nr2 = 16\nr3 = 0\ncall bpf_copy_from_user\n{END}"
    refused(text, "helper call might sleep in a non-sleepable prog", 22)
    accepted(text, sleepable=True)
    said = "Sleepable programs can only use array, hash, and ringbuf maps"
    refused(f"r2 = map jumps\nr3 = 1\ncall bpf_tail_call\n{END}", said, 22, sleepable=True)


def test_arguments_have_types() -> None:
    """V5."""
    said = "R1 type=ctx expected=map_ptr"
    refused(f"r2 = r10\nr2 += -8\n*(u64 *)(r10 -8) = 0\ncall bpf_map_lookup_elem\n{END}", said)
    said = "R2 type=scalar expected=fp, pkt, pkt_meta, map_key, map_value"
    refused(f"r2 = 8\nr1 = map counts\ncall bpf_map_lookup_elem\n{END}", said)
    refused(f"call bpf_ktime_get_ns\nr0 = r1\n{END}", "R1 !read_ok")


def test_a_key_must_have_been_written() -> None:
    """V3, V5: unless the program is privileged, which may read what is there."""
    text = f".type socket_filter\nr2 = r10\nr2 += -8\nr1 = map counts\ncall bpf_map_lookup_elem\n{END}"
    refused(text, "invalid indirect read from stack R2 off -8+0 size 8", unpriv=True)
    accepted(text)


SIZE = "r1 = r10\nr1 += -16\nr3 = 0\n"


def test_sizes_are_checked_with_the_memory_before_them() -> None:
    """V5."""
    accepted(f"{SIZE}r2 = 16\ncall bpf_probe_read_kernel\n{END}")
    accepted(f"{SIZE}r2 = 0\ncall bpf_probe_read_kernel\n{END}")
    said = "invalid indirect access to stack R1 off=-16 size=17"
    refused(f"{SIZE}r2 = 17\ncall bpf_probe_read_kernel\n{END}", said, 22)
    said = "R2 min value is negative, either use unsigned or 'var &= const'"
    refused(f"r6 = r1\n{SIZE}r2 = *(u64 *)(r6 +0)\ncall bpf_probe_read_kernel\n{END}", said)
    said = "R2 unbounded memory access, use 'var &= const' or 'if (var < const)'"
    refused(f"r6 = r1\n{SIZE}r2 = *(u64 *)(r6 +0)\nr2 >>= 1\ncall bpf_probe_read_kernel\n{END}", said)
    accepted(f"r6 = r1\n{SIZE}r2 = *(u64 *)(r6 +0)\nr2 &= 15\ncall bpf_probe_read_kernel\n{END}")
    refused(f"r1 = r10\nr1 += -16\nr2 = 0\ncall bpf_get_current_comm\n{END}", "invalid zero-sized read")


def test_a_helper_writes_what_it_is_given() -> None:
    """V5: the bytes count as written from then on."""
    text = f"*(u64 *)(r10 -16) = 0\n{SIZE}r2 = 16\ncall bpf_probe_read_kernel\nr1 = *(u64 *)(r10 -16)\n{END}"
    log = accepted(text).log
    assert "6: R0_w=scalar() fp-8=mmmmmmmm fp-16_w=mmmmmmmm\n" in log


def test_results_that_are_sizes_have_a_range() -> None:
    """V5: a length or an error."""
    log = accepted(f"{SIZE}r2 = 16\ncall bpf_probe_read_kernel_str\n{END}").log
    assert "R0_w=scalar(smin=-4095,smax=16)" in log


def test_maps_and_helpers_must_fit() -> None:
    """V5, V6."""
    text = f"*(u64 *)(r10 -8) = 0\nr2 = r10\nr2 += -8\nr1 = map stacks\ncall bpf_map_lookup_elem\n{END}"
    refused(text, "cannot pass map_type 7 into func bpf_map_lookup_elem#1", 22)
    said = "cannot pass map_type 1 into func bpf_get_stackid#27"
    refused(f"r2 = map counts\nr3 = 0\ncall bpf_get_stackid\n{END}", said, 22)


def test_read_only_maps_are_not_updated() -> None:
    """V6."""
    text = "*(u64 *)(r10 -48) = 0\nr2 = r10\nr2 += -48\nr3 = r2\nr4 = 0\nr1 = map readonly\ncall bpf_map_update_elem\n"
    refused(text + END, "write into map forbidden")


def test_tail_calls() -> None:
    """V12."""
    accepted(f"r2 = map jumps\nr3 = 1\ncall bpf_tail_call\n{END}")
    refused(f"r2 = map counts\nr3 = 1\ncall bpf_tail_call\n{END}", "kernel subsystem misconfigured verifier", 22)
    said = "tail_call is not allowed in subprogs without BTF"
    in_a_function = f"call sub\nexit\nsub:\nr2 = map jumps\nr3 = 1\ncall bpf_tail_call\n{END}"
    accepted(in_a_function)
    refused(in_a_function, said, 22, static_functions=False)


CALLBACK = "r1 = 5\nr2 = func[pc+6]\nr3 = 0\nr4 = 0\ncall bpf_loop\nr0 = 0\nexit\ncb:\nr0 = {}\nexit\n"


def test_callbacks() -> None:
    """V12: only with types that say the function is static; it may return 0 or 1."""
    refused(CALLBACK.format(0), "missing btf func_info", 22, static_functions=False)
    log = accepted(CALLBACK.format(0)).log
    assert "callee:\n frame1: R1=scalar() R2_w=0 R10=fp0 cb\n" in log
    said = "At callback return the register R0 has value (0x2; 0x0) should have been in (0x0; 0x1)"
    refused(CALLBACK.format(2), said, 22)


RESERVE = "r1 = map ring\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\n"
GIVE = "r1 = r0\nr2 = 0\ncall bpf_ringbuf_submit\n"


def test_what_is_reserved_must_be_given_back() -> None:
    """V13."""
    refused(f"{RESERVE}if r0 == 0 goto out\nout:\n{END}", "Unreleased reference id=2 alloc_insn=4", 22)
    log = accepted(f"{RESERVE}if r0 == 0 goto out\n*(u64 *)(r0 +0) = 1\n{GIVE}out:\n{END}").log
    assert "R0_w=alloc_mem_or_null(id=2,ref_obj_id=2,off=0,imm=0) refs=2\n" in log


def test_what_was_given_back_is_gone() -> None:
    """V13."""
    text = f"{RESERVE}if r0 == 0 goto out\nr6 = r0\n{GIVE}*(u64 *)(r6 +0) = 1\nout:\n{END}"
    refused(text, "R6 invalid mem access 'scalar'")
    text = f"{RESERVE}if r0 == 0 goto out\nr6 = r0\n{GIVE}r1 = r6\nr2 = 0\ncall bpf_ringbuf_submit\nout:\n{END}"
    refused(text, "R1 type=scalar expected=alloc_mem")


def test_only_the_record_itself_can_be_given_back() -> None:
    """V13."""
    text = f"{RESERVE}if r0 == 0 goto out\nr0 += 4\n{GIVE}out:\n{END}"
    refused(text, "dereference of modified alloc_mem ptr R1 off=4 disallowed")
    refused(f"{RESERVE}{GIVE}{END}", "R1 type=alloc_mem_or_null expected=alloc_mem")


def test_a_reserved_size_is_a_constant() -> None:
    """V13."""
    text = f"r2 = *(u64 *)(r1 +0)\nr1 = map ring\nr3 = 0\ncall bpf_ringbuf_reserve\n{END}"
    refused(text, "R2 is not a known constant'")


def test_dynptrs() -> None:
    """V16: 16 bytes of stack that only helpers may touch."""
    make = "r1 = map ring\nr2 = 8\nr3 = 0\nr4 = r10\nr4 += -16\ncall bpf_ringbuf_reserve_dynptr\n"
    give = "r1 = r10\nr1 += -16\nr2 = 0\ncall bpf_ringbuf_submit_dynptr\n"
    assert "R0_w=scalar() fp-8_w=dddddddd fp-16_w=dddddddd refs=1\n" in accepted(f"{make}{give}{END}").log
    refused(f"{make}{END}", "Unreleased reference id=1 alloc_insn=6", 22)
    refused(f"{give}{END}", "arg 1 is an unacquired reference", 22)


def test_locks_are_not_for_tracing() -> None:
    """V16."""
    verdict = check(f"{LOOKUP}if r0 == 0 goto out\nr1 = r0\ncall bpf_spin_lock\nout:\n{END}")
    assert verdict.rejected is not None
    assert verdict.rejected.message == "map 'counts' doesn't have 'struct bpf_spin_lock'"
