"""``kprobesim lab``."""

from __future__ import annotations

import sys

import click

from kprobesim.cli.options import lang_option
from kprobesim.course.free import FreeLab
from kprobesim.i18n import default_language

__all__ = ["command"]


@click.command()
@click.option("--plain", is_flag=True, help="Linear text and commands instead of the screen.")
@click.option("--kernel", default="toyix", show_default=True, help="An image that ships, or a path.")
@click.option("--profile", default="bare", show_default=True, help="distro, bare, server or history.")
@click.option("--cpus", default=1, show_default=True, type=click.IntRange(1, 8))
@click.option("--seed", default=0, show_default=True, type=int)
@lang_option
def command(plain: bool, kernel: str, profile: str, cpus: int, seed: int) -> None:
    """A lab without a lesson: a kernel that waits at its prompt.

    Without a terminal, or with --plain, it is text: commands come from standard input, one a line, and what happens is
    told in sentences; help lists the commands.
    """
    free = FreeLab(kernel, profile, cpus, seed)
    if plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
        from kprobesim.cli.ctrl_c import typed_lines
        from kprobesim.cli.lab_plain import PlainLab

        PlainLab(free.open(), default_language()).run(typed_lines())
    else:
        from kprobesim.cli.screen import open_app

        open_app(free)
