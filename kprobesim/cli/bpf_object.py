"""``kprobesim bpf`` on objects: what `dis`, `verify` and `jit` do with a `.o` file, and `build` and `headers`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from kprobesim.bpf import Program, source_imm64
from kprobesim.bpf.disasm import disassemble
from kprobesim.bpf.isa import Insn, Level, Pseudo
from kprobesim.bpf.object import BpfObject, Kernel, ObjectProgram, load_object
from kprobesim.errors import BadInput
from kprobesim.image import Btf, Kallsyms, open_image

__all__ = [
    "build_command",
    "headers_command",
    "is_object",
    "kernel_option",
    "list_object",
    "open_object",
    "program_option",
    "verify_all",
]

kernel_option: Final = click.option(
    "--kernel", default="toyix", show_default=True, help="For a .o file: the image whose types it is relocated against."
)
program_option: Final = click.option("--prog", "only", metavar="NAME", help="For a .o file: only this program.")


def is_object(data: bytes) -> bool:
    """Whether bytes are an ELF file."""
    return data[:4] == b"\x7fELF"


def open_object(data: bytes, name: str, kernel: str) -> BpfObject:
    """Read an object and relocate it against an image that ships, or the one at a path.

    Raises:
        ObjectError, ImageError: one of the two makes no sense.
    """
    image = open_image(kernel)
    kallsyms = Kallsyms.from_image(image)

    def address_of(symbol: str) -> int | None:
        found = kallsyms.lookup_name(symbol)
        return found[0].address if found else None

    return load_object(data, name, Kernel(Btf.from_image(image), address_of))


def chosen(found: BpfObject, only: str | None) -> list[ObjectProgram]:
    """The programs of an object, or the one that was asked for.

    Raises:
        BadInput: there is none of that name, or none at all.
    """
    programs = [program for program in found.programs if only in (None, program.name)]
    if not programs:
        names = ", ".join(program.name for program in found.programs) or "none"
        raise BadInput(
            f"There is no program {only or ''} in {found.name}.".replace("  ", " "), hint=f"It has: {names}."
        )
    return programs


def list_object(found: BpfObject, only: str | None) -> None:
    """Print its programs with the source lines that they were made of."""
    for number, program in enumerate(chosen(found, only)):
        click.echo(f'{chr(10) if number else ""}{program.name}: {program.type}, SEC("{program.target.section}")')
        _list_program(found, program)


def _list_program(found: BpfObject, program: ObjectProgram) -> None:
    starts = {function.slot: function.name for function in program.functions[1:]}
    lines = program.source_lines

    def imm64(insn: Insn, value: int) -> str:
        if insn.src not in (Pseudo.MAP_IDX, Pseudo.MAP_IDX_VALUE) or not 0 <= insn.imm < len(found.maps):
            return source_imm64(insn, value)
        name = f"map[{found.maps[insn.imm].spec.name}]"
        return name if insn.src == Pseudo.MAP_IDX else f"{name}[0]+{value >> 32}"

    for line in disassemble(program.insns, Level.V3, imm64):
        if line.slot in starts:
            click.echo(f"{starts[line.slot]}:")
        if line.slot in lines:
            click.echo(f"; {lines[line.slot].lstrip()}")
        click.echo(str(line))
        if line.slot in program.unresolved:
            click.echo(f"; this kernel has no {program.unresolved[line.slot]}")


def hex_object(found: BpfObject, only: str | None) -> None:
    """Print its programs' instructions, 8 bytes a line, each program behind its name."""
    for program in chosen(found, only):
        click.echo(f"# {program.name}")
        for insn in program.insns:
            click.echo(insn.encode().hex(" "))


def jit_object(found: BpfObject, only: str | None, address: int, stack: int | None, harden: int | None) -> None:
    """Print the machine code of its programs, all as if they were at the same address.

    Raises:
        Rejected: of the first program that the verifier refuses.
    """
    from kprobesim.bpf.jit.show import maps_to_show, show_program
    from kprobesim.bpf.object.verify import replace_dead_code, verify_object_program

    maps = maps_to_show([made.spec for made in found.maps])
    for program in chosen(found, only):
        verdict = verify_object_program(found, program)
        if verdict.rejected is not None:
            raise verdict.rejected
        insns = replace_dead_code(program.insns, verdict.seen)
        loaded = Program(program.name, program.type, insns, maps, found.license)
        click.echo(f"{program.name}:")
        click.echo(show_program(loaded, address, stack, harden), nl=False)


def verify_all(found: BpfObject, only: str | None, **options: Any) -> None:
    """Verify its programs and print the logs, each behind the program's name if there are several.

    Raises:
        Rejected: of the first program that is refused, when all logs are printed.
    """
    from kprobesim.bpf.object.verify import verify_object_program

    programs = chosen(found, only)
    refusals = []
    for program in programs:
        if len(programs) > 1:
            click.echo(f"prog '{program.name}':")
        verdict = verify_object_program(found, program, **options)
        click.echo(verdict.log, nl=False)
        if verdict.rejected is not None:
            refusals.append(verdict.rejected)
    if refusals:
        raise refusals[0]


@click.command("build")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "output", type=click.Path(path_type=Path), help="Where to put it [default: SOURCE with .o].")
@click.option("--kernel", default="toyix", show_default=True, help="The image that vmlinux.h is made of.")
def build_command(source: Path, output: Path | None, kernel: str) -> None:
    """Compile SOURCE, a program in C, with clang (or zig) into an object.

    The program finds vmlinux.h and bpf/bpf_helpers.h, bpf/bpf_tracing.h, bpf/bpf_core_read.h by itself.
    """
    from kprobesim.bpf.object.compile import build_object

    target = output or source.with_suffix(".o")
    warnings = build_object(source, target, Btf.from_image(open_image(kernel)))
    click.echo(warnings, nl=False, err=True)
    click.echo(str(target))


@click.command("headers")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--kernel", default="toyix", show_default=True, help="The image that vmlinux.h is made of.")
def headers_command(folder: Path, kernel: str) -> None:
    """Write the headers that `build` uses into FOLDER, for a compiler that is called by hand."""
    from kprobesim.bpf.object.compile import write_headers

    folder.mkdir(parents=True, exist_ok=True)
    write_headers(folder, Btf.from_image(open_image(kernel)))
    click.echo(str(folder))
