"""Objects in the running kernel: loaded, attached by their sections' names, undone by going back."""

from dataclasses import replace

import pytest

from kprobesim.bpf import MapSpec
from kprobesim.bpf.object import AttachKind, Target
from kprobesim.bpf.verifier import Rejected
from kprobesim.errors import BadInput, LinuxError
from kprobesim.lab import Lab
from kprobesim.tracing.attach import ATTACHERS, link_for
from kprobesim.tracing.objects import fitted
from tests.bpf.object.objects import PROGRAMS, loaded
from tests.lab.experiment import only, rested, state_of
from tests.tracing.bpftool.tool import out


def value(lab: Lab, name: str) -> bytes:
    found = lab.bpf.maps[name].read_value(bytes(4))
    assert found is not None
    return found


def test_a_compiled_program_counts_what_the_kernel_does() -> None:
    lab = rested()
    plan = lab.load_object(PROGRAMS / "count.o")
    assert (dict(plan.programs), dict(plan.maps)) == ({"count_read": "count_read"}, {"cnt": "cnt"})
    lab.type("cat /etc/motd")
    lab.run()
    hits = len(only(lab, "bpf.exit"))
    assert hits > 0 and value(lab, "cnt") == hits.to_bytes(8, "little")


@pytest.mark.parametrize("jit", [0, 1])
def test_variables_functions_and_return_probes_work_interpreted_and_compiled(jit: int) -> None:
    lab = rested()
    lab.bpf.jit.set_enabled(jit)
    lab.load_object(PROGRAMS / "globals.o")
    lab.type("cat /etc/motd")
    lab.run()
    calls = int.from_bytes(value(lab, "globals.bss")[32:40], "little")
    reads = sum(event.fields["prog"] == "on_read" for event in only(lab, "bpf.enter"))
    assert reads > 0 and calls >= 7 * reads
    assert [event.fields["text"] for event in only(lab, "trace.printk")][-1] == "read 0"


def test_core_reads_fields_of_the_running_kernel() -> None:
    """The program's own structs have everything in other places; the name is that of the file being read."""
    lab = rested()
    lab.load_object(PROGRAMS / "core.o")
    lab.type("cat /etc/motd > /dev/null")
    lab.run()
    names = {event.fields["ret"] for event in only(lab, "bpf.helper") if event.fields["name"].endswith("_kernel_str")}
    assert len("motd\0") in names


def test_sections_attach_to_system_calls_patterns_and_places_inside() -> None:
    lab = rested()
    lab.load_object(PROGRAMS / "attach.o")
    probes = {(one.program, one.kprobe.symbol_name, one.kprobe.offset) for one in lab.bpf.attachments}
    assert probes == {
        ("opening", "__x64_sys_openat", 0),
        ("opened", "__x64_sys_openat", 0),
        ("many", "vfs_read", 0),
        ("within", "vfs_read", 1),
    }
    lab.type("cat /etc/motd")
    lab.run()
    opens, fd, matches, inside = (
        int.from_bytes(value(lab, "attach.bss")[at : at + 8], "little") for at in range(0, 32, 8)
    )
    assert (opens, fd) == (1, 3)
    assert matches == inside > 0


def test_going_back_before_the_load_undoes_all_of_it_and_forth_again_does_it_again() -> None:
    lab = rested()
    beginning = lab.moment.insn
    lab.load_object(PROGRAMS / "ok_rich.o")
    lab.type("cat /etc/motd")
    lab.run()
    end, there, listing = lab.moment, state_of(lab), out("prog show", lab) + out("map dump name stats", lab)
    lab.start = beginning
    lab.seek(beginning)
    assert (lab.bpf.programs, lab.bpf.maps, out("prog show", lab), out("map show", lab)) == ({}, {}, "", "")
    lab.seek(end)
    assert state_of(lab) == there
    assert out("prog show", lab) + out("map dump name stats", lab) == listing


def test_a_refused_program_leaves_neither_maps_nor_probes() -> None:
    lab = rested()
    core = loaded("core")
    eager = Target("kprobe/vfs_write", "kprobe", AttachKind.KPROBE, "vfs_write")
    programs = tuple(replace(program, target=eager) for program in core.programs)
    with pytest.raises(Rejected, match="invalid func unknown#195896080"):
        lab.load_object(replace(core, programs=programs))
    assert (lab.bpf.programs, lab.bpf.maps, lab.bpf.attachments) == ({}, {}, [])


def test_a_target_that_does_not_exist_takes_the_other_probes_away_again() -> None:
    lab = rested()
    found = loaded("globals")
    programs = list(found.programs)
    lost = Target("kprobe/no_such_function", "kprobe", AttachKind.KPROBE, "no_such_function")
    programs[1] = replace(programs[1], target=lost)
    with pytest.raises(LinuxError):
        lab.load_object(replace(found, programs=tuple(programs)))
    assert lab.bpf.attachments == []


def test_the_same_object_twice_has_names_and_numbers_of_its_own() -> None:
    lab = rested()
    lab.load_object(PROGRAMS / "count.o")
    again = lab.load_object(PROGRAMS / "count.o")
    assert (dict(again.programs), dict(again.maps)) == ({"count_read": "count_read.2"}, {"cnt": "cnt.2"})
    assert out("link show", lab) == "1: perf_event  prog 1  \n2: perf_event  prog 2  \n"
    assert lab.bpf.programs["count_read"].tag == lab.bpf.programs["count_read.2"].tag


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target("tp/sched/x", "tracepoint", AttachKind.LSM, "x"), "cannot be attached by itself here"),
        (Target("usdt/x:y", "kprobe", AttachKind.USDT, "x:y"), "cannot be attached by itself here"),
        (Target("tp/sched", "tracepoint", AttachKind.TRACEPOINT, "sched"), "names no event"),
        (Target("uprobe/main", "kprobe", AttachKind.UPROBE, "main"), "names no place in a program"),
        (Target("uretprobe/cat:main+4", "kprobe", AttachKind.URETPROBE, "cat:main+4"), "offset specification"),
        (Target("kprobe/a b", "kprobe", AttachKind.KPROBE, "a b"), "names no place in the kernel"),
        (Target("kretprobe/vfs_read+4", "kprobe", AttachKind.KRETPROBE, "vfs_read+4"), "offset specification"),
        (Target("kprobe.multi/zzz*", "kprobe", AttachKind.KPROBE_MULTI, "zzz*"), "No function that can be probed"),
    ],
)
def test_a_target_that_cannot_be_attached_is_explained_in_a_sentence(target: Target, said: str) -> None:
    lab = rested()
    with pytest.raises((BadInput, LinuxError), match=said):
        link_for(lab.places, "p", target)


def test_a_section_without_a_place_is_left_to_the_user() -> None:
    lab = rested()
    assert link_for(lab.places, "p", Target("kprobe", "kprobe", AttachKind.KPROBE)) is None
    assert AttachKind.KPROBE in ATTACHERS


@pytest.mark.parametrize(
    ("wanted", "made"),
    [
        (MapSpec("perf_event_array", 4, 4, 0), 2),
        (MapSpec("perf_event_array", 4, 4, 7), 7),
        (MapSpec("ringbuf", 0, 0, 1), 4096),
        (MapSpec("ringbuf", 0, 0, 3 * 4096), 4 * 4096),
        (MapSpec("hash", 4, 4, 3), 3),
    ],
)
def test_sizes_that_libbpf_chooses(wanted: MapSpec, made: int) -> None:
    """On two CPUs: an event for each, a ring of whole pages whose number is a power of two."""
    assert fitted(wanted, 2) == replace(wanted, max_entries=made)


@pytest.mark.parametrize("jit", [0, 1])
def test_a_struct_of_the_kernel_is_printed_by_its_type(jit: int) -> None:
    """V16, section 4: bpf_snprintf_btf."""
    lab = rested()
    lab.bpf.jit.set_enabled(jit)
    lab.load_object(PROGRAMS / "btf_print.o")
    lab.type("cat /etc/motd > /dev/null")
    lab.run()
    bss = value(lab, "btf_prin.bss")
    text, length = bss[:256].partition(b"\0")[0], int.from_bytes(bss[256:], "little")
    assert text.startswith(b"(struct file){.f_path = (struct path){.mnt = (struct vfsmount *)0xffff")
    assert len(text) == 255 < length
