"""``kprobesim bpf``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import IO, Any, Final, cast

import click

from kprobesim.bpf import PROG_TYPES, Level, answer, assemble, decode, encode, listing, source_imm64
from kprobesim.bpf.classic import FORMS, format_filter, read_filter
from kprobesim.bpf.verifier import STATS
from kprobesim.cli import bpf_object
from kprobesim.cli.bpf_filter import filter_command
from kprobesim.cli.options import lang_option
from kprobesim.errors import BadInput

__all__ = ["command"]

_MAX_INPUT: Final = 64 << 20
_MAX_LINE: Final = 64 << 20


@click.group()
def command() -> None:
    """BPF programs."""


command.add_command(bpf_object.build_command)
command.add_command(bpf_object.headers_command)
command.add_command(filter_command)

_FORM_HELP = "Classic BPF: read a filter in any of these forms and print it in this one."


@command.command()
@click.argument("file", type=click.File("r", encoding="utf-8"), default="-")
@click.option("--classic", "form", type=click.Choice(list(FORMS)), help=_FORM_HELP)
@bpf_object.program_option
@bpf_object.kernel_option
def asm(file: IO[str], form: str | None, only: str | None, kernel: str) -> None:
    """Assemble FILE (or standard input) and print the instructions in hex, 8 bytes a line.

    Of a .o file the linked programs are printed. With --classic it is a classic filter, in the kernel's bpf_asm
    language or as tcpdump -d, -dd or -ddd prints it. The forms: d, dd, ddd as tcpdump; c and blob as bpf_asm with and
    without -c; asm, the source; hex.
    """
    if form is not None:
        click.echo(format_filter(read_filter(_read(file)), form), nl=False)
        return
    text = _read_any(file)
    if isinstance(text, bytes):
        bpf_object.hex_object(bpf_object.open_object(text, file.name, kernel), only)
        return
    program = encode(assemble(text).insns)
    for start in range(0, len(program), 8):
        click.echo(program[start : start + 8].hex(" "))


@command.command()
@click.argument("file", type=click.File("r", encoding="utf-8"), default="-")
@click.option("--classic", is_flag=True, help="A classic filter, in any form; printed as tcpdump -d does.")
@bpf_object.program_option
@bpf_object.kernel_option
def dis(file: IO[str], classic: bool, only: str | None, kernel: str) -> None:
    """Disassemble FILE (or standard input), hex or a .o file, into the kernel's text."""
    if classic:
        click.echo(format_filter(read_filter(_read(file)), "d"), nl=False)
        return
    text = _read_any(file)
    if isinstance(text, bytes):
        bpf_object.list_object(bpf_object.open_object(text, file.name, kernel), only)
        return
    click.echo(listing(decode(_hex(text, "The program")), Level.V4, source_imm64))


@command.command()
@click.argument("file", type=click.File("r", encoding="utf-8"), default="-")
@click.option("--address", default="0xffffffffc0000008", help="Where the code will be.", show_default=True)
@click.option("--stack", type=click.IntRange(0, 512), help="Bytes of stack [default: what the program names].")
@click.option("--harden", type=int, metavar="SEED", help="Blind constants, as net.core.bpf_jit_harden=2 does.")
@bpf_object.program_option
@bpf_object.kernel_option
def jit(file: IO[str], address: str, stack: int | None, harden: int | None, only: str | None, kernel: str) -> None:
    """Print the x86-64 code that Linux's JIT makes of FILE (or standard input): assembly text, hex, or a .o file."""
    from kprobesim.bpf.jit.show import show_jited

    text = _read_any(file)
    try:
        at = int(address, 0)
    except ValueError:
        raise BadInput(f"{address!r} is no address.", hint="For example 0xffffffffc0000008.") from None
    if isinstance(text, bytes):
        bpf_object.jit_object(bpf_object.open_object(text, file.name, kernel), only, at, stack, harden)
        return
    click.echo(show_jited(text, at, stack, harden), nl=False)


@command.command("exec")
@click.argument("memory", default="")
@click.option("--jit", is_flag=True, help="With the x86-64 JIT instead of the interpreter.")
def exec_(memory: str, jit: bool) -> None:
    """Run the program in hex on standard input over MEMORY (hex) and print R0 in hex."""
    program = _hex(_read(sys.stdin), "The program")
    data = _hex(memory, "The memory")
    request = {
        "id": 0,
        "op": "run",
        "engine": "jit" if jit else "interp",
        "insns": program.hex(),
        "mem": data.hex(),
        "mem_size": len(data),
        "stack": 512,
    }
    result = answer(request)
    if "error" in result:
        raise BadInput(str(result["error"]))
    click.echo(result["r0"])


@command.command()
@click.argument("file", type=click.File("r", encoding="utf-8"), default="-")
@click.option("--type", "prog_type", type=click.Choice(PROG_TYPES[1:]), help="Program type; the source's by default.")
@click.option("--attach", "attach_type", default="", help="Attach type, as bpftool names it: cgroup_inet4_bind.")
@click.option("--level", type=click.IntRange(1, 2), default=2, show_default=True, help="1: the failing path. 2: all.")
@click.option("--stats", is_flag=True, help="Stack depths and time as well.")
@click.option("--unpriv", is_flag=True, help="As a user without capabilities.")
@click.option("--strict-alignment", is_flag=True, help="Refuse unaligned accesses everywhere.")
@click.option("--explain/--no-explain", default=True, help="Explain a refusal below the log.", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Log, figures and explanation as one JSON object.")
@bpf_object.program_option
@bpf_object.kernel_option
@lang_option
def verify(
    file: IO[str], prog_type: str | None, level: int, stats: bool, only: str | None, kernel: str, **choices: Any
) -> None:
    """Verify FILE (or standard input), assembly text, hex or a .o file, and print the kernel's log."""
    text, log_level = _read_any(file), level | (STATS if stats else 0)
    if isinstance(text, bytes):
        options = {name: choices[name] for name in ("unpriv", "strict_alignment")}
        bpf_object.verify_all(bpf_object.open_object(text, file.name, kernel), only, log_level=log_level, **options)
        return
    from kprobesim.cli.bpf_verify import verify_text

    verify_text(text, prog_type, log_level, kernel=kernel, **choices)


@command.command()
def batch() -> None:
    """Answer JSON requests, one a line on standard input, with one JSON line each."""
    for line in _lines(sys.stdin.buffer):
        if line is None or line.strip():
            click.echo(json.dumps(_answer_line(line)))


def _lines(file: IO[bytes]) -> Iterator[bytes | None]:
    """Lines as they come; None for one that is too long."""
    while line := file.readline(_MAX_LINE):
        if len(line) < _MAX_LINE or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(_MAX_LINE)
        yield None


def _answer_line(line: bytes | None) -> dict[str, Any]:
    if line is None:
        return {"error": f"a line of more than {_MAX_LINE:,} bytes"}
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {"error": f"not JSON: {error}"}
    if not isinstance(request, dict):
        return {"error": "a request is a JSON object"}
    return answer(request)


def _read(file: IO[str]) -> str:
    text = _read_any(file)
    if isinstance(text, bytes):
        raise BadInput("This is an ELF file; the command takes text.", hint="dis and verify read objects.")
    return text


def _read_any(file: IO[str]) -> str | bytes:
    """Text, or the bytes of an object."""
    data = cast(IO[bytes], getattr(file, "buffer", file)).read(_MAX_INPUT + 1)
    if len(data) > _MAX_INPUT:
        raise BadInput(f"The input is larger than {_MAX_INPUT:,} bytes.")
    if bpf_object.is_object(data):
        return data
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput("The input is not UTF-8 text.") from None


def _hex(text: str, what: str) -> bytes:
    try:
        return bytes.fromhex("".join(text.split()))
    except ValueError:
        raise BadInput(f"{what} is not hex digits.", hint="Two digits a byte; blanks are ignored.") from None
