"""The free lab as linear text: every command answers in sentences, and nothing ends the session but quit."""

import re

import pytest

from kprobesim.cli.lab_plain import PlainLab
from kprobesim.course.free import FreeLab
from kprobesim.i18n import LANGUAGES, Language
from kprobesim.lab import Lab


def open_lab() -> Lab:
    """The free lab at a hit of a probe that stays an int3, its life known to the end."""
    lab = FreeLab().open()
    lab.kprobe("vfs_read")
    lab.type("cat /etc/motd")
    lab.run(until=["kprobe.hit"])
    return lab


def told(*lines: str, language: Language = "en", lab: Lab | None = None) -> list[str]:
    """What is printed for some commands, the welcome and the first look left out."""
    said: list[str] = []
    plain = PlainLab(lab or open_lab(), language, said.append)
    plain.run(iter(()))
    begun = len(said)
    plain.run(iter(lines))
    return said[2 * begun :]


def text(*lines: str, language: Language = "en") -> str:
    return "\n".join(told(*lines, language=language))


def test_a_step_says_what_happened_and_why_and_where_the_machine_is() -> None:
    said = told("step")
    assert said[0].startswith("The pre_handler of vfs_read+0x0 returned 0.")
    assert re.match(r"Time [\d.]+ ms, CPU 0, at \S+, phase kprobe_int3_handler, event \d+ of \d+\.", said[1])


def test_a_command_is_typed_and_what_the_console_prints_is_printed() -> None:
    assert "This is toyix" in text("$ cat /etc/motd")


def test_questions_leave_the_machine_where_it_is() -> None:
    lab = open_lab()
    before = lab.moment
    said = told(
        "look", "registers", "changed", "code", "code vfs_read", "stack", "kprobes", "bpf", "maps", "events 3",
        "tasks", "console", "what-if without resume-ip", "ls", "ls /sys/kernel/tracing",
        "show /sys/kernel/tracing/tracing_on", "help", lab=lab,
    )  # fmt: skip
    whole = "\n".join(said)
    assert lab.moment == before
    for expected in (
        "vfs_read+0x0: push %rbp. Bytes cc. A probe stands here: the first byte was 55.",
        "Current kprobe: vfs_read+0x0. Status HIT_ACTIVE.",
        "Probe at vfs_read+0x0, armed. In memory stands cc, as built 55.",
        "No BPF program is loaded.",
        "No BPF map exists.",
        "regs->r15",
        "What if, behind the slot's int3, RIP were not taken back to the function?",
        "/sys/kernel/tracing/events/",
        "\n1\n",
    ):
        assert expected in whole, expected


def test_changed_registers_are_told_with_their_old_value() -> None:
    assert re.search(r"rip changed from 0x[0-9a-f]+ to 0x[0-9a-f]+\.", text("step instruction", "changed"))


def test_who_goes_back_to_the_write() -> None:
    assert "This is where rip was set last, from" in text("who rip")


def test_a_program_is_written_attached_and_its_map_read() -> None:
    whole = text(
        "program count", ".type kprobe", ".license GPL", ".map n array key=4 value=8 max_entries=1",
        "  *(u32 *)(r10 -4) = 0", "  *(u64 *)(r10 -16) = 7", "  r1 = map n", "  r2 = r10", "  r2 += -4", "  r3 = r10",
        "  r3 += -16", "  r4 = 0", "  call map_update_elem", "  r0 = 0", "  exit", "end",
        "seek end", "attach count vfs_open", "$ cat /etc/motd", "maps", "bpf",
    )  # fmt: skip
    assert "Map n, type array, 1 of 1 elements." in whole
    assert "Program count, type kprobe" in whole
    assert "Key 0, value 7." in whole


def test_a_refused_program_is_told_with_the_log() -> None:
    whole = text("program bad", "r0 = *(u64 *)(r9 +0)", "exit", "end")
    assert "Permission denied (-EACCES): R9 !read_ok" in whole
    assert "processed 1 insns" in whole


def test_a_changed_register_is_lived_and_the_difference_told() -> None:
    whole = text("what-if register rdi=0")
    assert "What if rdi were 0x0 before instruction" in whole


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("frobnicate", "is not a command"),
        ("answer a 1", "is not a command"),
        ("probe nowhere", "no symbol nowhere"),
        ("load ../x.bpf", "x.bpf"),
        ("who nobody", "no symbol nobody"),
        ("what-if soon", "What should be different?"),
        ("what-if register rax=much", "is not NAME=VALUE"),
        ("ls /nowhere", "(-ENOENT)"),
        ("show /sys/kernel/tracing/trace_pipe", "is a stream"),
        ("show /sys/kernel/tracing", "(-EISDIR)"),
    ],
)
def test_a_mistake_is_a_sentence_and_the_session_goes_on(line: str, expected: str) -> None:
    said = told(line, "look")
    assert any(expected in one for one in said), said
    assert any(one.startswith("Time ") for one in said[-2:])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("frobnicate", "'frobnicate' 不是命令。命令有：load, program,"),
        ("probe nowhere", "No such file or directory (-ENOENT)：内核没有符号 nowhere。"),
        ("step banana", "'banana' 既不是步长也不是次数。步长有："),
        ("seek 99999", "没有事件 99999，已知的有 "),
        ("what-if register rax=much", "'rax=much' 不是 NAME=VALUE。例如 rax=0x10。"),
        ("show /sys/kernel/tracing/trace_pipe", "trace_pipe 是流：读过的内容就没有了。"),
    ],
)
def test_in_chinese_a_mistake_is_a_chinese_sentence(line: str, expected: str) -> None:
    assert expected in text(line, language="zh")


def test_in_chinese_the_log_of_a_refused_program_stays_the_kernels() -> None:
    whole = text("program bad", "r0 = *(u64 *)(r9 +0)", "exit", "end", language="zh")
    assert "Permission denied (-EACCES): R9 !read_ok" in whole


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_missing(language: Language) -> None:
    whole = text("look", "kprobes", "changed", "tasks", "bpf", "maps", "help", "step", language=language)
    assert ("Time" in whole) is (language == "en")
    assert not re.search(r"^[a-z_]+$", whole, re.MULTILINE), "a key stands for a text that is missing"
