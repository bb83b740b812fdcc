"""Programs out of objects: sections, functions, references. Reference: bpf.md section 9, item 6."""

import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from kprobesim.bpf import Insn
from kprobesim.bpf.isa import Pseudo, is_lddw
from kprobesim.bpf.object import AttachKind, ObjectError, load_object, section_target
from kprobesim.bpf.object.verify import verify_object_program
from kprobesim.bpf.verifier import LEVEL2, STATS
from tests.bpf.object.objects import contents, loaded, program, run, toyix, variables


def test_a_program_names_its_map_by_number_and_passes_the_verifier() -> None:
    found = loaded("count")
    (counting,) = found.programs
    assert (counting.name, counting.type, found.license) == ("count_read", "kprobe", "GPL")
    (lddw,) = [insn for insn in counting.insns if is_lddw(insn)]
    assert lddw == Insn(0x18, dst=1, src=Pseudo.MAP_IDX)
    assert verify_object_program(found, counting).rejected is None


def test_programs_at_functions_are_verified_against_the_types_that_the_object_was_relocated_with() -> None:
    """V16: nothing but the object is needed, as for `kprobesim bpf verify`."""
    found = loaded("trampoline")
    assert {program.type for program in found.programs} == {"tracing"}
    assert [verify_object_program(found, program).errno for program in found.programs] == [0] * len(found.programs)


def test_source_lines_are_in_the_verifiers_log_before_the_instructions_they_became() -> None:
    """V9's log, with BTF: each change of line is told once, at both levels."""
    found = loaded("count")
    log = verify_object_program(found, found.programs[0], log_level=2).log.splitlines()
    at = log.index("; __sync_fetch_and_add(v, 1);")
    assert "lock *(u64 *)(r0 +0) += r1" in log[at + 1]


def test_called_functions_follow_the_program_each_once_and_calls_lead_to_them() -> None:
    reading = program("globals", "on_read")
    assert [(one.slot, one.name, one.is_global) for one in reading.functions] == [
        (0, "on_read", True),
        (16, "add", True),
        (30, "bucket", False),
    ]
    calls = {slot + 1 + insn.imm for slot, insn in enumerate(reading.insns) if insn.code == 0x85 and insn.src == 1}
    assert calls == {16, 30}
    assert [one.slot for one in program("globals", "on_return").functions] == [0, 17]


def test_lines_move_with_their_functions() -> None:
    lines = program("globals", "on_return").source_lines
    assert lines[17].strip() == "static __noinline int bucket(__u64 size)"


def test_a_callback_is_a_function_by_its_address() -> None:
    root = program("maps", "root")
    slots = [slot for slot, insn in enumerate(root.insns) if is_lddw(insn) and insn.src == Pseudo.FUNC]
    each = next(one for one in root.functions if one.name == "each")
    assert [slot + 1 + root.insns[slot].imm for slot in slots] == [each.slot]
    assert verify_object_program(loaded("maps"), root).rejected is None


def test_kernel_symbols_and_kernel_settings_are_filled_in() -> None:
    live = run("externs", "asks")
    answers = variables("externs", ".bss", live)
    assert answers == {"address": toyix().address_of("vfs_read"), "version": 6 << 16 | 1 << 8}


def test_a_symbol_that_the_kernel_lacks_is_refused_unless_it_is_weak() -> None:
    strong = contents("externs").replace(b"not_in_this_kernel", b"vfs_read_elsewhere")
    load_object(strong, "externs.o", toyix())
    with pytest.raises(ObjectError, match=r"extern \(ksym\) 'vfs_xxxx': not found in kallsyms"):
        load_object(contents("externs").replace(b"vfs_read\0", b"vfs_xxxx\0"), "externs.o", toyix())


@pytest.mark.parametrize(
    ("section", "type_", "kind", "extra"),
    [
        ("kprobe/vfs_read", "kprobe", AttachKind.KPROBE, "vfs_read"),
        ("kprobe", "kprobe", AttachKind.KPROBE, ""),
        ("kretprobe/vfs_read", "kprobe", AttachKind.KRETPROBE, "vfs_read"),
        ("kprobe.multi/vfs_*", "kprobe", AttachKind.KPROBE_MULTI, "vfs_*"),
        ("ksyscall/openat", "kprobe", AttachKind.KSYSCALL, "openat"),
        ("uprobe//bin/sh:main+4", "kprobe", AttachKind.UPROBE, "/bin/sh:main+4"),
        ("uretprobe.s//bin/sh:main", "kprobe", AttachKind.URETPROBE, "/bin/sh:main"),
        ("tp/sched/sched_switch", "tracepoint", AttachKind.TRACEPOINT, "sched/sched_switch"),
        ("tracepoint/syscalls/sys_enter_read", "tracepoint", AttachKind.TRACEPOINT, "syscalls/sys_enter_read"),
        ("raw_tp/sched_switch", "raw_tracepoint", AttachKind.RAW_TRACEPOINT, "sched_switch"),
        ("raw_tp.w/x", "raw_tracepoint_writable", AttachKind.RAW_TRACEPOINT, "x"),
        ("tp_btf/sched_switch", "tracing", AttachKind.TP_BTF, "sched_switch"),
        ("fentry/vfs_read", "tracing", AttachKind.FENTRY, "vfs_read"),
        ("fexit.s/vfs_read", "tracing", AttachKind.FEXIT, "vfs_read"),
        ("perf_event", "perf_event", AttachKind.PERF_EVENT, ""),
        ("cgroup/skb", "cgroup_skb", AttachKind.NONE, ""),
    ],
)
def test_a_sections_name_says_type_and_target(section: str, type_: str, kind: AttachKind, extra: str) -> None:
    target = section_target(section)
    assert target is not None
    assert (target.type, target.kind, target.extra, target.autoload) == (type_, kind, extra, True)
    optional = section_target(f"?{section}")
    assert optional is not None and not optional.autoload and optional.type == type_
    assert target.sleepable == (".s/" in section)


@pytest.mark.parametrize("section", ["", "kprobes/vfs_read", "perf_event/x", "kprobevfs_read", "my_section"])
def test_a_name_that_stands_for_nothing_is_none(section: str) -> None:
    assert section_target(section) is None


def test_a_program_in_such_a_section_is_refused_with_libbpfs_words() -> None:
    strange = contents("count").replace(b"kprobe/vfs_read", b"kprobx/vfs_read")
    with pytest.raises(ObjectError, match="missing BPF prog type, check ELF section name 'kprobx/vfs_read'"):
        load_object(strange, "count.o", toyix())


REAL = Path(__file__).resolve().parents[4] / "shared/acceptance/linux-6.1/09_verifier_first_part.txt"
LOG = re.compile(r"libbpf: prog '(\w+)': -- BEGIN PROG LOAD LOG --\n(.*?)-- END PROG LOAD LOG --", re.DOTALL)


@pytest.mark.skipif(not REAL.is_file(), reason="the real kernel's output is not here")
@pytest.mark.parametrize(("name", "function"), [("ok_count", "count_read"), ("ok_rich", "rich")])
def test_the_whole_log_with_source_lines_is_the_real_kernels(name: str, function: str) -> None:
    """Up to addresses of maps and the time that it took. Reference: acceptance/linux-6.1/09."""
    (captured,) = [log for prog, log in LOG.findall(REAL.read_text(encoding="utf-8")) if prog == function][:1]
    mine = verify_object_program(loaded(name), program(name, function), log_level=LEVEL2 | STATS).log

    def masked(log: str) -> str:
        return re.sub(r"0xff[0-9a-f]{14}", "0xADDRESS", re.sub(r"time \d+ usec", "time N usec", log))

    assert masked(mine) == masked(captured)


def test_the_first_functions_context_and_global_functions_are_judged_by_their_types() -> None:
    """V11: ``add`` is global, so it is verified alone and its callers do not look into it; ``bucket`` is static."""
    log = verify_object_program(loaded("globals"), program("globals", "on_read"), log_level=LEVEL2).log
    assert "Validating add() func#1...\n16: R1=scalar() R2=scalar() R10=fp0\n" in log
    assert "Func#1 is safe for any args that match its prototype\n" in log
    assert "Func#1 is global and valid. Skipping.\n" in log
    assert "Validating bucket()" not in log


def test_functions_and_lines_are_told_to_the_kernel_as_they_stand() -> None:
    """Records out of order, which no compiler writes, are the kernel's to refuse."""
    found, asking = loaded("globals"), program("globals", "on_read")
    turned = replace(asking, func_info=asking.func_info[::-1])
    verdict = verify_object_program(found, turned)
    assert verdict.log.startswith(f"nonzero insn_off {asking.func_info[-1].slot} for the first func info record")
    turned = replace(asking, lines=asking.lines[1:])
    assert "missing bpf_line_info for func#0\n" in verify_object_program(found, turned).log
    without = replace(asking, func_info=(), lines=())
    assert verify_object_program(found, without).errno == 0


def test_a_function_that_others_have_records_of_must_have_some() -> None:
    damaged = bytearray(contents("globals"))
    start = damaged.index(struct.pack("<HBBI", 0xEB9F, 1, 0, 32))
    # Behind the header, the size of a record, a section's name and the count of its records: the first record's place.
    first = start + 32 + struct.unpack_from("<I", damaged, start + 8)[0] + 12
    struct.pack_into("<I", damaged, first, 8 * 1000)
    with pytest.raises(ObjectError, match=r"prog '\w+': missing \.BTF\.ext function info"):
        load_object(bytes(damaged), "globals.o", toyix())
