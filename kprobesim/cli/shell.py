"""``kprobesim shell``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from kprobesim.cli.ctrl_c import CtrlC
from kprobesim.errors import BadInput
from kprobesim.lab import Lab
from kprobesim.shell import ShellSession

__all__ = ["command"]

_MAX_FILE: Final = 1 << 20
_STUCK: Final = (
    "kprobesim: the command waits for something that will not come, so Ctrl-C was typed. "
    "Write & behind it to let it wait in the background."
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("-c", "commands", help="Run these command lines instead of a file's.")
@click.option("--kernel", default="toyix", show_default=True, help="An image that ships, or a path.")
@click.option(
    "--profile",
    default="bare",
    show_default=True,
    help="How probes are served: distro (by ftrace at entries), bare (int3), server (boosted), history (TF and #DB).",
)
@click.option("--cpus", default=1, show_default=True, type=click.IntRange(1, 8))
@click.option("--seed", default=0, show_default=True, type=int)
@click.option("--load", "objects", multiple=True, metavar="FILE.o", help="Load and attach a BPF object before.")
def command(
    file: Path | None, commands: str | None, kernel: str, profile: str, cpus: int, seed: int, objects: tuple[str, ...]
) -> None:
    """A shell on the simulated machine: lines from FILE, from -c, or typed."""
    if file is not None and commands is not None:
        raise click.UsageError("Give a file or -c, not both.")
    given = _given(file, commands)
    ctrl_c = CtrlC()
    lab = Lab.open(kernel, profile=profile, cpus=cpus, seed=seed)
    session = ShellSession(lab, ctrl_c.take)
    for path in objects:
        lab.load_object(path)
    for line in given if given is not None else _typed(session):
        with ctrl_c:
            _print(session.run_line(line))
        if session.is_off:
            break
        if session.is_busy and not (given is None and sys.stdin.isatty()):
            click.echo(_STUCK, err=True)
            _print(session.interrupt())


def _print(texts: Iterable[str]) -> None:
    for text in texts:
        click.echo(text, nl=False)


def _given(file: Path | None, commands: str | None) -> Iterator[str] | None:
    """The lines of -c or of a file; None: they are typed."""
    if commands is not None:
        return iter(commands.splitlines())
    if file is not None:
        try:
            with file.open("rb") as opened:
                text = opened.read(_MAX_FILE + 1)
            if len(text) > _MAX_FILE:
                raise BadInput(f"{file} is larger than {_MAX_FILE:,} bytes.")
            return iter(text.decode().splitlines())
        except OSError as error:
            raise BadInput(f"{file} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise BadInput(f"{file} is not UTF-8 text.") from None
    return None


def _typed(session: ShellSession) -> Iterator[str]:
    """Lines from standard input, with a prompt if somebody sits there and the shell listens; Ctrl-C is the guest's."""
    is_terminal = sys.stdin.isatty()
    while True:
        try:
            yield input("# " if is_terminal and not session.is_busy else "")
        except EOFError:
            return
        except KeyboardInterrupt:
            if not is_terminal:
                raise
            click.echo()
            _print(session.interrupt())
        except UnicodeDecodeError:
            raise BadInput("Standard input is not UTF-8 text.") from None
