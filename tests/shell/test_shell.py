"""The machine's shell: what a line means, what is printed, what Ctrl-C reaches."""

import pytest

from kprobesim.lab import Lab
from kprobesim.shell import ShellSession


class Shell:
    """A session whose lines are given and whose output is taken whole."""

    def __init__(self) -> None:
        self.lab = Lab.open()
        self.session = ShellSession(self.lab)

    def run(self, *lines: str) -> str:
        return "".join(text for line in lines for text in self.session.run_line(line))


@pytest.fixture(scope="module")
def shell() -> Shell:
    return Shell()


def test_here_documents(shell: Shell) -> None:
    assert shell.run("cat <<END | wc -l", "one", "two # no comment", "END") == "2\n"
    assert shell.run("cat <<'A B' > /tmp/here", "$a 'b'", "A B", "cat /tmp/here") == "$a 'b'\n"
    assert shell.run("cat << E; echo after", "x", "E") == "x\nafter\n"


def test_a_here_document_from_a_file(shell: Shell) -> None:
    shell.run("cat <<OUTER > /tmp/script", "cat <<INNER", "inside", "INNER", "echo done", "OUTER")
    assert shell.run("sh /tmp/script") == "inside\ndone\n"


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("echo a > /tmp/r; echo b >> /tmp/r; cat < /tmp/r", "a\nb\n"),
        ("cat /no 2> /tmp/r; cat /tmp/r", "cat: /no: No such file or directory\n"),
        ("cat /no 2>&1 | wc -l", "1\n"),
        ("cat /no > /tmp/r 2>&1; cat /tmp/r", "cat: /no: No such file or directory\n"),
        ("echo x >&2", "x\n"),
        ("> /tmp/empty; wc -c < /tmp/empty", "0\n"),
        ("echo one | cat - | cat", "cat: -: No such file or directory\n"),
        ("echo a; cat /no && echo no || echo yes # and more", "a\ncat: /no: No such file or directory\nyes\n"),
        ("echo 'a;b' \"c d\" e\\ f", "a;b c d e f\n"),
        ("echo -n x; echo", "x\n"),
        ("cd /etc; cat hostname > /tmp/h; cd /; cat /tmp/h", "toyix\n"),
        ("nosuch", "sh: nosuch: not found\n"),
        ("cat /etc/passwd >", "sh: syntax error near 'end of line'\n"),
        ("| cat", "sh: syntax error near '| cat'\n"),
        ("echo x 2>&9", "sh: syntax error near '9'\n"),
        ("echo a > /nodir/x && echo no", "sh: /nodir/x: No such file or directory\n"),
        ("echo x > /sys/kernel/tracing/current_tracer", "sh: write error: Invalid argument\n"),
        ("echo builtin | cat; /bin/echo program", "builtin\nprogram\n"),
    ],
)
def test_lines(shell: Shell, line: str, printed: str) -> None:
    assert shell.run(line) == printed


def test_echo_is_the_shells_own(shell: Shell) -> None:
    """No process is made for it, so a trace shows sh."""
    shell.run("cd /sys/kernel/tracing; echo p:w vfs_write > kprobe_events; echo 1 > events/kprobes/w/enable")
    shell.run("echo hello > /tmp/hello; echo 0 > events/kprobes/w/enable")
    assert " sh-" in shell.run("tail -1 trace")
    shell.run("echo > kprobe_events; cd /")


def test_ctrl_c_ends_the_foreground_and_not_the_background() -> None:
    shell = Shell()
    shell.run("cd /sys/kernel/tracing; cat trace_pipe > /tmp/out &")
    shell.run("cat per_cpu/cpu0/trace > /dev/null")
    assert not shell.session.is_busy
    for _ in shell.session.interrupt():
        pass
    shell.run("echo hello > trace_marker")
    assert "tracing_mark_write: hello" in shell.run("cat /tmp/out"), "the reader in the background lives"


def test_a_command_that_waits_for_nothing_keeps_the_console_until_ctrl_c() -> None:
    shell = Shell()
    assert shell.run("cat /sys/kernel/tracing/trace_pipe") == "" and shell.session.is_busy
    assert shell.run("echo typed meanwhile") == ""
    assert "".join(shell.session.interrupt()) == "typed meanwhile\n" and not shell.session.is_busy


def test_ctrl_c_ends_all_of_a_pipeline() -> None:
    shell = Shell()
    before = shell.run("ls /proc").count("\n")
    shell.run("cat /sys/kernel/tracing/trace_pipe | cat | cat")
    for _ in shell.session.interrupt():
        pass
    assert not shell.session.is_busy and shell.run("ls /proc").count("\n") == before


def test_a_reader_that_feeds_itself_is_ended_by_ctrl_c() -> None:
    """As in Linux, cat trace_pipe with vfs_read probed never ends: each read is a record. The session ends it."""
    shell = Shell()
    shell.lab.machine.log.capacity = 200_000
    shell.run("cd /sys/kernel/tracing; echo p:a vfs_read > kprobe_events; echo 1 > events/kprobes/a/enable")
    shell.run("cat trace_pipe > /dev/null")
    assert not shell.session.is_busy
