"""``kprobesim kernel``."""

from __future__ import annotations

import click

from kprobesim.cli.options import lang_option
from kprobesim.errors import BadInput
from kprobesim.i18n import default_language
from kprobesim.image import Btf, Kallsyms, list_images, open_image, read_tables
from kprobesim.lab import CodeLine, Lab

__all__ = ["command"]


@click.group()
def command() -> None:
    """The kernel images."""


@command.command("list")
@lang_option
def list_() -> None:
    """List the images that ship."""
    language = default_language()
    for image in list_images():
        title = image.title.get(language) or image.title.get("en", "")
        click.echo(f"{image.name:<12} {title}{'' if image.is_built else '  (not built)'}")


@command.command()
@click.argument("name")
def info(name: str) -> None:
    """Describe the image NAME (one that ships, or a path)."""
    image = open_image(name)
    kallsyms = Kallsyms.from_image(image)
    tables = read_tables(image, kallsyms)
    click.echo(f"{image.name}: entry {kallsyms.symbolize(image.entry)} at {image.entry:#x}, sha256 {image.sha256}")
    click.echo("segments:")
    for segment in image.segments:
        click.echo(
            f"  {segment.permissions}  virtual {segment.virtual:#x}  physical {segment.physical:#x}  "
            f"{segment.memory_size:,} bytes"
        )
    functions = sum(symbol.is_text for symbol in kallsyms)
    click.echo(
        f"{functions} functions, {len(kallsyms)} symbols, {len(tables.mcount_loc)} fentry sites, "
        f"{len(tables.hypercalls)} functions played by the host"
    )
    click.echo("sections:")
    for section in image.sections.values():
        if section.is_loaded:
            click.echo(f"  {section.address:#018x}  {section.size:8,}  {section.name}")


@command.command()
@click.argument("name")
@click.option("--c", "as_c", is_flag=True, help="As C declarations: the vmlinux.h that BPF programs include.")
def btf(name: str, as_c: bool) -> None:
    """Print the types of the image NAME, as bpftool btf dump does."""
    from kprobesim.image.btf_header import c_header
    from kprobesim.tracing.bpftool.btf import raw_type

    types = Btf.from_image(open_image(name))
    if as_c:
        click.echo(c_header(types), nl=False)
        return
    for entry in types:
        if entry.id:
            click.echo(raw_type(types, entry)[0], nl=False)


@command.command()
@click.argument("name")
@click.argument("symbol")
@click.option("--probe", "probes", multiple=True, metavar="OFFSET", help="Also show it with a kprobe at this offset.")
def disasm(name: str, symbol: str, probes: tuple[str, ...]) -> None:
    """Disassemble the function SYMBOL of the image NAME, before and after patching."""
    lab = Lab.open(name)
    found = lab.kernel.kallsyms.lookup_name(symbol)
    if not found:
        near = lab.kernel.kallsyms.near_names(symbol)
        raise BadInput(
            f"The kernel has no symbol {symbol!r}.", hint=f"Did you mean {' or '.join(near)}?" if near else ""
        )
    if not found[0].is_text:
        raise BadInput(
            f"{symbol} is not code.", hint="kprobesim kernel info lists the sections; only functions are disassembled."
        )
    address = found[0].address
    click.echo(f"{symbol}:")
    _print_code(lab, lab.code(address))
    for offset in probes:
        probe = lab.kprobe(f"{symbol}+{offset}")
        assert probe.ainsn is not None
        click.echo(f"\nwith a kprobe at {symbol}+{offset}:")
        _print_code(lab, lab.code(address))
        click.echo(f"\nits slot, in {lab.symbolize(probe.ainsn.insn)}:")
        _print_code(lab, lab.code(probe.ainsn.insn))
        view = next(view for view in lab.kprobes().probes if view.address == probe.addr)
        if view.detour:
            click.echo(f"\nits detour buffer, once the probe is a jump, in {lab.symbolize(view.detour)}:")
            _print_code(lab, view.detour_code)


def _print_code(lab: Lab, lines: tuple[CodeLine, ...]) -> None:
    for line in lines:
        if line.source is not None:
            text = lab.source_text(line.source)
            click.echo(f"{line.source.file}:{line.source.line}{'' if text is None else '  ' + text.strip()}")
        was = f"  (was {line.original[:1].hex()})" if line.patched else ""
        click.echo(f"{line.address:x}:\t{line.memory.hex(' '):<32}\t{line.text}{was}")
