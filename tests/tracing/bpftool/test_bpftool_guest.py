"""bpftool as a program of the guest: pipes, files, exit status, and two processes at once."""

import json

from kprobesim.lab import Lab
from kprobesim.shell import ShellSession
from tests.bpf.object.objects import PROGRAMS
from tests.lab.experiment import only
from tests.tracing.bpftool.tool import out


def console(lab: Lab, *lines: str) -> str:
    session = ShellSession(lab)
    return "".join(text for line in lines for text in session.run_line(line))


def with_counter() -> Lab:
    lab = Lab.open()
    lab.load_object(PROGRAMS / "ok_count.o")
    return lab


def test_the_console_shows_what_the_host_says_also_beyond_one_page() -> None:
    lab = with_counter()
    long = out("btf dump file /sys/kernel/btf/vmlinux", lab)
    assert len(long) > 20_000
    assert console(lab, "bpftool btf dump file /sys/kernel/btf/vmlinux") == long


def test_output_goes_into_files_and_pipes_and_errors_do_not() -> None:
    lab = with_counter()
    said = console(
        lab,
        "bpftool -j perf show > /tmp/perf; cat /tmp/perf",
        "bpftool prog show | wc -l",
        "bpftool prog show id 7 > /dev/null || echo failed",
    )
    first, lines, error, failed = said.splitlines()
    assert json.loads(first)[0]["func"] == "ksys_read"
    assert (lines, error, failed) == ("4", "Error: get by id (7): No such file or directory", "failed")


def test_a_pipe_between_two_of_them_keeps_their_answers_apart() -> None:
    lab = with_counter()
    assert console(lab, "bpftool map show | grep array; bpftool prog show | grep kprobe").count("\n") == 2
    text = console(lab, "bpftool link show & bpftool map getnext name cnt; wait")
    assert "1: perf_event  prog 1" in text and "next key:\n00 00 00 00\n" in text


def test_an_update_from_the_console_is_an_event_and_can_be_taken_back() -> None:
    lab = with_counter()
    console(lab, "bpftool map update name cnt key 0 0 0 0 value 0 0 0 0 0 0 0 1")
    (updated,) = [event for event in only(lab, "map.update") if event.fields["new"] == bytes(7) + b"\1"]
    value = lab.bpf.maps["cnt"].read_value(bytes(4))
    assert value is not None and value[7] == 1
    lab.seek(updated.moment.insn)
    before = lab.bpf.maps["cnt"].read_value(bytes(4))
    assert before is not None and before[7] == 0


def test_programs_and_maps_are_pinned_by_bpf_and_found_by_their_names() -> None:
    lab = with_counter()
    number = next(iter(lab.bpf.maps.values())).id
    name = next(iter(lab.bpf.maps))
    assert console(lab, f"bpftool map pin id {number} /sys/fs/bpf/one", "ls /sys/fs/bpf") == "one\n"
    assert console(lab, "bpftool map show pinned /sys/fs/bpf/one") == out(f"map show name {name}", lab)
    assert console(lab, f"bpftool map pin name {name} /sys/fs/bpf/one") == (
        "Error: can't pin the object (/sys/fs/bpf/one): File exists\n"
    )
    assert console(lab, "bpftool prog show pinned /sys/fs/bpf/one") == "Error: incorrect object type: map\n"
    assert console(lab, "bpftool map show pinned /sys/fs/bpf/no") == (
        "Error: bpf obj get (/sys/fs/bpf/no): No such file or directory\n"
    )
    assert console(lab, "bpftool prog pin id 77 /sys/fs/bpf/p") == "Error: get by id (77): No such file or directory\n"
    console(lab, "rm /sys/fs/bpf/one")
    # What the lab has loaded stays.
    assert name in lab.bpf.maps
