"""toyix on the machine: what its programs print, and that nothing is left behind."""

import struct
from functools import cache
from pathlib import Path
from typing import Any

import pytest

machine_room: Any = pytest.importorskip("kprobesim.machine")
image_room: Any = pytest.importorskip("kprobesim.image.elf")

TOYIX = Path(__file__).resolve().parents[2] / "kernels" / "toyix" / "toyix.elf"
LIMIT = 100_000_000
BANNER = "toyix: init is running, a command a line\n"

pytestmark = [
    pytest.mark.skipif(not TOYIX.is_file(), reason="kernels/ is only in a checkout"),
    pytest.mark.skipif(not hasattr(machine_room, "Machine"), reason="no machine to run it on"),
]


@cache
def image() -> Any:
    return image_room.KernelImage.open(TOYIX)


def power_on(*commands: str, cpus: int = 1) -> Any:
    """Boots, types the commands and `exit`, and returns the machine when it has switched itself off."""
    machine = machine_room.Machine(cpus=cpus)
    machine.boot(image().entry, image().segments)
    machine.devices.type("".join(f"{command}\n" for command in (*commands, "exit")).encode())
    machine.run(LIMIT)
    assert machine.off == 0, machine.devices.output.decode()
    return machine


def output_of(*commands: str, cpus: int = 1) -> str:
    """What the commands print."""
    text = power_on(*commands, cpus=cpus).devices.output.decode()
    _, banner, rest = text.partition(BANNER)
    assert banner, text
    return str(rest[: rest.rindex("[")])


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (["cat /etc/hostname"], "toyix\n"),
        (["echo one two"], "one two\n"),
        (["cat /nope"], "cat: /nope: No such file or directory\n"),
        (["cat /etc"], "cat: /etc: Is a directory\n"),
        (["cat /etc/hostname/x"], "cat: /etc/hostname/x: Not a directory\n"),
        (["nosuch"], "init: nosuch: No such file or directory\n"),
        (["echo a > /tmp/f", "echo b >> /tmp/f", "cat /tmp/f"], "a\nb\n"),
        (["echo more >> /etc/hostname", "cat /etc/hostname"], "toyix\nmore\n"),
        (["echo x > /etc/hostname", "cat /etc/hostname"], "x\n"),
        (["sh -c 'cd /etc; cat < hostname'"], "toyix\n"),
        (["cat /home/notes.txt | cat | wc"], "5 40 219\n"),
        (["sh -c 'sleep 0.01; echo late' | cat"], "late\n"),
        (["dd if=/dev/zero bs=4k count=40 status=none | dd bs=512 status=none | wc"], "0 1 163840\n"),
        (["dd if=/dev/zero bs=1k count=100 | true"], ""),
        (["mkdir /tmp/d", "mkdir /tmp/d"], "mkdir: /tmp/d: File exists\n"),
        (["mkdir /tmp/d", "echo x > /tmp/d/f", "rmdir /tmp/d"], "rmdir: /tmp/d: Directory not empty\n"),
        (["mkdir /tmp/d", "mv /tmp/d /tmp/e", "ls /tmp"], "e\n"),
        (["echo x > /tmp/f", "mv /tmp/f /tmp/g", "cat /tmp/g", "rm /tmp/g", "ls /tmp"], "x\n"),
        (["mkdir /tmp/d", "mv /tmp/d /tmp/d/e"], "mv: /tmp/d: Invalid argument\n"),
        (["rm /tmp"], "rm: /tmp: Is a directory\n"),
        (["dd if=/dev/zero of=/tmp/f bs=64k count=40 status=none"], "dd: /tmp/f: File too large\n"),
        (["ls /dev"], "console\nnull\nzero\n"),
        (["echo -n a b; echo c"], "a bc\n"),
        (['echo "\\$a \\1 \\\\ \\"" \'\\$a\' \\$a b\\ \\ c'], '$a \\1 \\ " \\$a $a b  c\n'),
        (
            ["true && echo yes || echo no", "false && echo yes || echo no", "false || true && echo end"],
            "yes\nno\nend\n",
        ),
        (["cat /nope && echo yes; echo done"], "cat: /nope: No such file or directory\ndone\n"),
        (
            ["grep student /etc/passwd", "grep -c : /etc/passwd", "grep -vn ^root /etc/passwd | wc -l"],
            "student:x:1000:1000:student:/home:/bin/sh\n2\n1\n",
        ),
        (["grep -q nobody /etc/passwd || echo none", "grep -i 'STU.*home' /etc/passwd | wc -l"], "none\n1\n"),
        (["head -n 1 /etc/passwd", "cat /etc/passwd | head -1 | wc -l"], "root:x:0:0:root:/:/bin/sh\n1\n"),
        (["tail -n +2 /etc/passwd | grep -c student", "tail -1 /etc/passwd | grep -c student"], "1\n1\n"),
        (["echo a > /tmp/1; echo b >> /tmp/1; tail -n 1 /tmp/1; tail -n 5 /tmp/1; tail -n 0 /tmp/1"], "b\na\nb\n"),
        (["ls /tmp /etc/motd"], "/tmp:\n\n/etc/motd\n".replace("\n\n", "\n")),
        (["wc -l /etc/passwd", "wc -c < /etc/hostname"], "2 /etc/passwd\n6\n"),
        (["usertests"], "usertests: ok\n"),
        (["spin 5", "sleep 0.02 &", "spin -n 1000"], ""),
    ],
)
def test_programs_print_what_they_should(commands: list[str], expected: str) -> None:
    assert output_of(*commands) == expected


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_number_of_cpus_does_not_show(cpus: int) -> None:
    commands = ["spin 20 &", "cat /etc/motd | cat | wc", "sh -c 'sleep 0.01; echo late' | cat", "wc /home/notes.txt"]
    assert output_of(*commands, cpus=cpus) == "1 16 83\nlate\n5 40 219\n"


def test_the_same_commands_take_the_same_instructions() -> None:
    first, second = (power_on("ls / | wc", "sleep 0.01", cpus=2) for _ in range(2))
    assert (first.retired, bytes(first.devices.output)) == (second.retired, bytes(second.devices.output))


def test_no_memory_is_lost() -> None:
    work = [
        "cat /etc/motd | cat | wc",
        "sh -c 'ls | wc; echo x > /tmp/a; rm /tmp/a'",
        "mkdir /tmp/q",
        "mv /tmp/q /tmp/r",
        "rmdir /tmp/r",
        "cat /nope",
        "dd if=/dev/zero bs=4k count=3 of=/tmp/z status=none",
        "rm /tmp/z",
        "dd if=/dev/zero bs=1k count=100 | true",
    ]

    def free_pages(times: int) -> int:
        machine = power_on(*work * times)
        address = image_symbols()["nr_free_pages"]
        segment = image().segment_at(address)
        raw = machine.ram.read(segment.physical + address - segment.virtual, 8)
        return int(struct.unpack("<Q", raw)[0])

    # A slab that happens to be half full may hold a page more.
    assert free_pages(8) >= free_pages(2) - 4


def image_symbols() -> dict[str, int]:
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    with TOYIX.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        return {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}
