"""Every error that a command for kprobe_events can have, with its caret."""

from pathlib import Path

import pytest

from kprobesim.lab import Lab
from kprobesim.linux_errno import Errno
from kprobesim.tracing.probe_events import PROBE_ERRORS
from tests.tracing.tracefs.console import Console, define, last_error

REAL = Path(__file__).resolve().parents[4] / "shared/acceptance/linux-6.1/02_error_log_first_half.txt"
LONG = "a" * 64

# As in the kernel's selftest kprobe_syntax_errors.tc, ^ marks where the caret stands.
REFUSED = [
    ("MAXACT_NO_KPROBE", "p^100 vfs_read", Errno.EINVAL),
    ("BAD_MAXACT", "r^1a111 vfs_read", Errno.EINVAL),
    ("BAD_MAXACT", "r^0 vfs_read", Errno.EINVAL),
    ("MAXACT_TOO_BIG", "r^100000 vfs_read", Errno.EINVAL),
    ("BAD_PROBE_ADDR", "p ^non_exist_func", Errno.ENOENT),
    ("BAD_PROBE_ADDR", "p ^hoge-fuga", Errno.EINVAL),
    ("BAD_PROBE_ADDR", "p ^hoge+1000-1000", Errno.EINVAL),
    ("BAD_PROBE_ADDR", "p ^vfs_read-1", Errno.EINVAL),
    ("BAD_PROBE_ADDR", "p ^vfs_read @no_such_symbol", Errno.ENOENT),
    ("NON_UNIQ_SYMBOL", "p ^twice", Errno.EADDRNOTAVAIL),
    ("BAD_RETPROBE", "r ^vfs_read+10", Errno.EINVAL),
    ("BAD_RETPROBE", "p ^vfs_read+10%return", Errno.EINVAL),
    ("BAD_ADDR_SUFFIX", "p vfs_read^%hoge", Errno.EINVAL),
    ("NO_GROUP_NAME", "p:^/bar vfs_read", Errno.EINVAL),
    ("GROUP_TOO_LONG", f"p:^{LONG}/bar vfs_read", Errno.EINVAL),
    ("BAD_GROUP_NAME", "p:^foo.1/bar vfs_read", Errno.EINVAL),
    ("NO_EVENT_NAME", "p:^ vfs_read", Errno.EINVAL),
    ("EVENT_TOO_LONG", f"p:foo/^{LONG} vfs_read", Errno.EINVAL),
    ("BAD_EVENT_NAME", "p:foo/^bar.1 vfs_read", Errno.EINVAL),
    ("EVENT_EXIST", "^p:ftrace/print vfs_read", Errno.EEXIST),
    ("RETVAL_ON_PROBE", "p vfs_read ^$retval", Errno.EINVAL),
    ("BAD_STACK_NUM", "p vfs_read ^$stack10000", Errno.EINVAL),
    ("BAD_ARG_NUM", "p vfs_read ^$arg10000", Errno.EINVAL),
    ("BAD_ARG_NUM", "p vfs_read ^$arg0", Errno.EINVAL),
    ("BAD_VAR", "p vfs_read ^$none_var", Errno.EINVAL),
    ("BAD_VAR", "p vfs_read+1 ^$arg1", Errno.EINVAL),
    ("BAD_VAR", "r vfs_read ^$arg1", Errno.EINVAL),
    ("BAD_REG_NAME", "p vfs_read ^%none_reg", Errno.EINVAL),
    ("BAD_REG_NAME", "p vfs_read ^%rax", Errno.EINVAL),
    ("BAD_MEM_ADDR", "p vfs_read ^@12345678abcde", Errno.EINVAL),
    ("FILE_ON_KPROBE", "p vfs_read ^@+10", Errno.EINVAL),
    ("BAD_IMM", "p vfs_read arg1=\\^x", Errno.EINVAL),
    ("BAD_IMM", "p vfs_read arg1=\\^0x99999999999999999", Errno.ERANGE),
    ("IMMSTR_NO_CLOSE", 'p vfs_read arg1=\\"hoge^', Errno.EINVAL),
    ("TOO_MANY_OPS", "p vfs_read +0(^" + "+0(" * 14 + "%di" + ")" * 15, Errno.EINVAL),
    ("DEREF_NEED_BRACE", "p vfs_read ^+0@0)", Errno.EINVAL),
    ("BAD_DEREF_OFFS", "p vfs_read ^+0ab1(@0)", Errno.EINVAL),
    ("DEREF_OPEN_BRACE", "p vfs_read +0(+0(@0^)", Errno.EINVAL),
    ("COMM_CANT_DEREF", "p vfs_read +0(^$comm)", Errno.EINVAL),
    ("BAD_FETCH_ARG", "p vfs_read ^&1", Errno.EINVAL),
    ("ARRAY_NO_CLOSE", "p vfs_read +0(%ax):u64[4^", Errno.EINVAL),
    ("BAD_ARRAY_SUFFIX", "p vfs_read +0(%ax):u64[1]^a", Errno.EINVAL),
    ("BAD_ARRAY_NUM", "p vfs_read +0(%ax):u64[^10a]", Errno.EINVAL),
    ("BAD_ARRAY_NUM", "p vfs_read +0(%ax):u64[^0]", Errno.EINVAL),
    ("ARRAY_TOO_BIG", "p vfs_read +0(%ax):u64[^256]", Errno.EINVAL),
    ("BAD_TYPE", "p vfs_read @symbol:^none", Errno.EINVAL),
    ("BAD_TYPE", "p vfs_read %ax:^u7", Errno.EINVAL),
    ("BAD_STRING", "p vfs_read %ax:^string", Errno.EINVAL),
    ("BAD_STRING", "p vfs_read %ax:^u64[2]", Errno.EINVAL),
    ("BAD_SYMSTRING", "p vfs_read \\1:^symstr", Errno.EINVAL),
    ("BAD_BITFIELD", "p vfs_read %ax:^b10@60/64", Errno.EINVAL),
    ("ARG_NAME_TOO_LONG", f"p vfs_read ^{'a' * 33}=%ax", Errno.EINVAL),
    ("NO_ARG_NAME", "p vfs_read ^=%ax", Errno.EINVAL),
    ("BAD_ARG_NAME", "p vfs_read ^1arg=%ax", Errno.EINVAL),
    ("USED_ARG_NAME", "p vfs_read arg1=%ax ^arg1=%bx", Errno.EINVAL),
    ("USED_ARG_NAME", "p vfs_read ^__probe_ip=%ax", Errno.EINVAL),
    ("ARG_TOO_LONG", f"p vfs_read arg1=^@{'a' * 63}", Errno.EINVAL),
    ("NO_ARG_BODY", "p vfs_read arg1=^", Errno.EINVAL),
    ("BAD_INSN_BNDRY", "p ^vfs_read+2", Errno.EILSEQ),
    ("FAIL_REG_PROBE", "p ^exc_int3", Errno.EINVAL),
    ("DIFF_PROBE_TYPE", "^r:kprobes/testevent do_sys_openat2", Errno.EEXIST),
    ("DIFF_ARG_TYPE", "p:kprobes/testevent do_sys_openat2 ^abcd=\\1:u8", Errno.EEXIST),
    ("DIFF_ARG_TYPE", "p:kprobes/testevent do_sys_openat2 ^other=\\1", Errno.EEXIST),
    ("DIFF_ARG_TYPE", "p:kprobes/testevent do_sys_openat2 abcd=\\1 ^b=%ax", Errno.EEXIST),
    ("SAME_PROBE", "^p:kprobes/testevent vfs_write abcd=\\1", Errno.EEXIST),
    ("EVENT_TOO_BIG", "p vfs_read " + " ".join(["+0(%di):x64[64]"] * 6) + " ^+0(%di):x64[64]", Errno.E2BIG),
]


@pytest.fixture(scope="module")
def lab() -> Lab:
    booted = Lab.open()
    booted.run()
    assert define(booted, "p:kprobes/testevent vfs_write abcd=\\1") is None
    return booted


@pytest.mark.parametrize(("code", "command", "errno"), REFUSED)
def test_every_error_points_where_linux_points(lab: Lab, code: str, command: str, errno: Errno) -> None:
    """GRM-01 to GRM-10, TFS-04, TFS-17 and the table of section 5.4."""
    if code == "NON_UNIQ_SYMBOL":
        for offset in (0, 16):
            lab.kernel.kallsyms.add("twice", lab.kernel.symbol("vfs_read") + offset, 16)
    error = define(lab, command.replace("^", ""))
    assert error is not None and error.errno is errno
    assert last_error(lab) == (PROBE_ERRORS[code], command.index("^"))


def test_fifteen_instructions_are_accepted(lab: Lab) -> None:
    """GRM-09: an argument has at most 15 instructions."""
    assert define(lab, "p vfs_read " + "+0(" * 14 + "%di" + ")" * 14) is None
    assert define(lab, "-:p_vfs_read_0") is None


def test_behind_a_user_dereference_the_caret_is_one_too_far_left(lab: Lab) -> None:
    """As in Linux, whose parser drops the u before it counts."""
    define(lab, "p vfs_read +u8(%rdi)")
    assert last_error(lab) == (PROBE_ERRORS["BAD_REG_NAME"], len("p vfs_read +u8(") - 1)


@pytest.mark.parametrize("command", ["x:a vfs_read", "p", "p:a", "p vfs_read $comm:u8", "p vfs_read $comm:string[2]"])
def test_some_errors_leave_no_entry(lab: Lab, command: str) -> None:
    """GRM-07, GRM-13."""
    before = lab.tracing.events.errors.entries
    error = define(lab, command)
    assert error is not None and error.errno is Errno.EINVAL
    assert lab.tracing.events.errors.entries == before


def test_all_reachable_codes_are_tried() -> None:
    uprobe_and_eprobe = {
        "FILE_NOT_FOUND", "NO_REGULAR_FILE", "BAD_REFCNT", "REFCNT_OPEN_BRACE", "BAD_REFCNT_SUFFIX", "BAD_UPROBE_OFFS",
        "BAD_FILE_OFFS", "SYM_ON_UPROBE", "NO_EVENT_INFO", "BAD_ATTACH_EVENT", "BAD_ATTACH_ARG", "NO_EP_FILTER",
    }  # fmt: skip
    assert {code for code, _, _ in REFUSED} | uprobe_and_eprobe == set(PROBE_ERRORS)
    assert len(PROBE_ERRORS) == 61 and len({code for code, _, _ in REFUSED}) == 49


def test_the_log_keeps_eight_and_is_cleared_by_truncation() -> None:
    """TFS-17."""
    console = Console()
    for number in range(10):
        define(console.lab, f"p no_such_{number}")
    log = console.run("cat error_log")
    assert log.count("Command:") == 8 and "no_such_1\n" not in log and "no_such_9\n" in log
    assert console.run("echo > error_log; cat error_log") == ""


def _records(text: str) -> list[tuple[str, str, list[str]]]:
    """Command, errno text and log lines of each record of the real kernel's session."""
    found = []
    for part in text.split("\n$ ")[1:]:
        command, *rest = part.strip().splitlines()
        error = rest[0].split("write error: ")[1] if rest and "write error" in rest[0] else ""
        log = [line.rstrip() for line in rest if line.startswith(("[", "  Command:", "     ")) or line.strip() == "^"]
        if "trace_kprobe: error" in part:
            found.append((command, error, log))
    return found


OTHER_KERNEL = ("kprobe_dispatcher", "native_load_idt", "do_int3", "+0xfffff", "+6'")


@pytest.mark.skipif(not REAL.is_file(), reason="the real kernel's output is not here")
def test_as_a_real_kernel_logs_it() -> None:
    """The session of a Linux 6.1, its functions being toyix's too; times differ."""
    console = Console()
    tried = 0
    for command, error, log in _records(REAL.read_text(encoding="utf-8")):
        if any(name in command for name in OTHER_KERNEL):
            continue
        printed = console.run("echo > error_log", command, "cat error_log").splitlines()
        assert printed[0] == f"sh: write error: {error}", command
        strip = [line.split("] ")[-1] for line in printed[1:]]
        assert strip == [line.split("] ")[-1] for line in log if "Could not" not in line], command
        tried += 1
    assert tried > 18
