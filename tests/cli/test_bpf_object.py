"""``kprobesim bpf`` on objects, and the shell with one."""

import shutil
from pathlib import Path

import pytest

from tests.bpf.object.objects import PROGRAMS
from tests.cli.console import Cli

COUNT = str(PROGRAMS / "ok_count.o")
CORE = str(PROGRAMS / "core.o")


def test_a_listing_has_source_lines_maps_by_name_and_functions(cli: Cli) -> None:
    result = cli("bpf", "dis", str(PROGRAMS / "globals.o"), "--prog", "on_return")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == 'on_return: kprobe, SEC("kretprobe/vfs_read")'
    assert "10: (18) r1 = map[globals.rodata][0]+4" in lines
    assert lines[lines.index("bucket:") + 1] == "; static __noinline int bucket(__u64 size)"


def test_the_verifiers_log_has_the_source_lines(cli: Cli) -> None:
    result = cli("bpf", "verify", COUNT)
    assert result.exit_code == 0
    assert '; SEC("kprobe/ksys_read") int count_read(struct pt_regs *ctx)\n0: (b7) r1 = 0' in result.stdout
    assert result.stdout.splitlines()[-1].startswith("processed 12 insns")


def test_several_programs_are_told_apart_and_one_refusal_fails_the_command(cli: Cli) -> None:
    result = cli("bpf", "verify", CORE, "--level", "1")
    assert result.exit_code == 1
    assert [line for line in result.stdout.splitlines() if line.startswith("prog")] == [
        "prog 'relocated':",
        "prog 'unresolved':",
    ]
    assert "this kernel has no struct file___new.member_of_the_future" in result.stderr
    assert cli("bpf", "verify", CORE, "--level", "1", "--prog", "relocated").exit_code == 0


def test_an_object_comes_on_standard_input_as_well(cli: Cli) -> None:
    result = cli("bpf", "asm", given=Path(COUNT).read_bytes())
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == ["# count_read", "b7 01 00 00 00 00 00 00"]


def test_the_jits_code_of_an_object_is_shown(cli: Cli) -> None:
    result = cli("bpf", "jit", COUNT)
    assert result.exit_code == 0
    assert "lock add %rdi,0x0(%rax)" in result.stdout and "call   0x" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verify", COUNT, "--prog", "nobody"], "There is no program nobody"),
        (["verify", COUNT, "--kernel", "nothing"], "nothing"),
        (["build", "no_such_file.c"], "no_such_file.c does not exist"),
    ],
)
def test_mistakes_are_told_in_a_sentence(cli: Cli, arguments: list[str], said: str) -> None:
    if arguments[0] == "build" and shutil.which("clang") is None:
        pytest.skip("no clang here, which is what is complained of then")
    result = cli("bpf", *arguments)
    assert result.exit_code == 1 and said in result.stderr


@pytest.mark.skipif(shutil.which("clang") is None, reason="no clang here to build with")
def test_build_makes_an_object_that_verifies(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "out.o"
    built = cli("bpf", "build", str(PROGRAMS / "count.c"), "-o", str(target))
    assert (built.exit_code, built.stdout) == (0, f"{target}\n")
    assert cli("bpf", "verify", str(target)).exit_code == 0


def test_the_headers_are_written_into_a_folder(cli: Cli, tmp_path: Path) -> None:
    result = cli("bpf", "headers", str(tmp_path / "include"))
    assert result.exit_code == 0
    assert (tmp_path / "include" / "vmlinux.h").is_file() and (tmp_path / "include/bpf/bpf_helpers.h").is_file()


def test_the_kernels_types_are_printed_raw_or_as_c(cli: Cli) -> None:
    raw, text = cli("kernel", "btf", "toyix"), cli("kernel", "btf", "toyix", "--c")
    assert (raw.exit_code, text.exit_code) == (0, 0)
    assert raw.stdout.startswith("[1] ") and "STRUCT 'task_struct' size=" in raw.stdout
    assert "\nstruct task_struct {\n" in text.stdout and text.stdout.endswith("#endif\n")


def test_the_shell_loads_objects_before_its_first_line(cli: Cli) -> None:
    result = cli("shell", "--load", COUNT, "-c", "cat /etc/motd\nbpftool map dump name cnt")
    assert result.exit_code == 0
    assert '"key": 0,' in result.stdout
    assert cli("shell", "--load", "missing.o", "-c", "ls").exit_code == 1
