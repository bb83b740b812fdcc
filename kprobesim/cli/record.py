"""``kprobesim record``."""

from __future__ import annotations

from pathlib import Path

import click

from kprobesim.cli.options import lang_option
from kprobesim.errors import BadInput
from kprobesim.lab import Lab
from kprobesim.lab.recording import capture, save_recording
from kprobesim.shell import ShellSession

__all__ = ["command"]

_MAX_PROGRAM = 1 << 20


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("commands", nargs=-1)
@click.option("--demo", "demo", help="Record this demo instead of commands.")
@click.option("--kernel", default="toyix", show_default=True, help="An image that ships, or a path.")
@click.option("--profile", default="bare", show_default=True, help="distro, bare, server or history.")
@click.option("--cpus", default=1, show_default=True, type=click.IntRange(1, 8))
@click.option("--seed", default=0, show_default=True, type=int)
@click.option("--no-optimization", is_flag=True, help="Probes stay int3 (debug.kprobes-optimization=0).")
@click.option("--jit", is_flag=True, help="Programs become x86-64 code (net.core.bpf_jit_enable=1).")
@click.option("--probe", "probes", multiple=True, metavar="PLACE", help="A probe without a handler; may be repeated.")
@click.option(
    "--program", "programs", multiple=True, nargs=2, metavar="FILE PLACE", help="A BPF program and where it goes."
)
@click.option("--load", "objects", multiple=True, metavar="FILE.o", help="Load and attach a BPF object before.")
@click.option("--note", default="", help="A text that is kept with the recording.")
@lang_option
def command(
    out: Path,
    commands: tuple[str, ...],
    demo: str | None,
    kernel: str,
    profile: str,
    cpus: int,
    seed: int,
    no_optimization: bool,
    jit: bool,
    probes: tuple[str, ...],
    programs: tuple[tuple[str, str], ...],
    objects: tuple[str, ...],
    note: str,
) -> None:
    """Run COMMANDS in the simulated machine's shell and keep all of it in OUT.

    Several words are one command line, as behind sudo; one word may hold several lines.
    """
    if (demo is None) != bool(commands):
        raise click.UsageError("Give commands behind --, or a demo.")
    if demo is not None:
        from kprobesim.course import find_demo

        lab = find_demo(demo).open()
    else:
        lab = Lab.open(kernel, profile=profile, cpus=cpus, seed=seed, optimization=not no_optimization)
        _run(lab, commands, jit, probes, programs, objects)
    recording = capture(lab, notes=note)
    save_recording(recording, out)
    click.echo(f"{out}: {len(recording.inputs)} inputs, {recording.events:,} events.", err=True)


def _run(
    lab: Lab,
    commands: tuple[str, ...],
    jit: bool,
    probes: tuple[str, ...],
    programs: tuple[tuple[str, str], ...],
    objects: tuple[str, ...],
) -> None:
    session = ShellSession(lab)
    begun = lab.moment.insn
    if jit:
        lab.set_bpf_jit(1)
    for path in objects:
        lab.load_object(path)
    for file, place in programs:
        name = Path(file).stem
        if name not in lab.bpf.programs:
            lab.load_program(_source(Path(file)), name)
        lab.attach(name, place)
    for place in probes:
        lab.kprobe(place)
    text = commands[0] if len(commands) == 1 else " ".join(commands)
    for line in text.splitlines():
        for piece in session.run_line(line):
            click.echo(piece, nl=False)
        if session.is_off:
            break
    lab.start = begun


def _source(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_PROGRAM:
            raise BadInput(f"{path} is larger than {_MAX_PROGRAM:,} bytes.")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text.") from None
