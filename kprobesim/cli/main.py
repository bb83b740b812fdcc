"""The entry point. Commands are imported when they are used, so that ``--help`` is quick and loads no screen."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

import click

from kprobesim import __version__
from kprobesim.cli.options import lang_option
from kprobesim.errors import GuestError, KprobesimError

__all__ = ["main"]

_COMMANDS: Final = {
    "bpf": ("kprobesim.cli.bpf", "BPF programs: assemble, disassemble, run."),
    "demo": ("kprobesim.cli.demo", "Play a demo."),
    "diff": ("kprobesim.cli.diff", "Where two recordings part."),
    "doctor": ("kprobesim.cli.doctor", "What on this computer may spoil the experience."),
    "export": ("kprobesim.cli.export", "Make a cast, a web page, a picture or JSON of a recording."),
    "follow": ("kprobesim.cli.follow", "Look where a teacher looks, on a machine of one's own."),
    "kernel": ("kprobesim.cli.kernel", "The kernel images: list, describe, disassemble."),
    "lab": ("kprobesim.cli.lab", "A lab without a lesson."),
    "lesson": ("kprobesim.cli.lesson", "The lessons: list, run, check, write."),
    "record": ("kprobesim.cli.record", "Run commands and keep all of it in a file."),
    "replay": ("kprobesim.cli.replay", "Live a recording again."),
    "serve": ("kprobesim.cli.serve", "The screen in browsers, for a class."),
    "share": ("kprobesim.cli.share", "Let others follow what is shown here."),
    "shell": ("kprobesim.cli.shell", "The simulated machine's shell."),
    "what-if": ("kprobesim.cli.what_if", "Live a recording or a demo twice, with one thing changed."),
}


class _LazyGroup(click.Group):
    """A group whose commands live in modules of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])


@click.group(cls=_LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kprobesim")
@lang_option
@click.pass_context
def cli(ctx: click.Context) -> None:
    """See how kprobes and eBPF really work, on a machine that can go backwards.

    Without a command: the list of lessons, or, without a terminal, the default demo as plain text.
    """
    if ctx.invoked_subcommand is None:
        if sys.stdin.isatty() and sys.stdout.isatty():
            from kprobesim.cli.screen import open_app

            open_app(None)
        else:
            from kprobesim.cli.demo import play_plain

            play_plain("first-probe")


def main() -> None:
    """Run the command line; exit status 0 for success, 1 for a failure that the input caused, 2 for wrong usage.

    Ctrl-C ends every command with 130. Nobody is shown a Python traceback, unless the environment asks for it with
    ``KPROBESIM_DEBUG=1``.
    """
    try:
        if "_KPROBESIM_COMPLETE" in os.environ:
            cli.main(prog_name="kprobesim")  # a shell asks for completions
        # Not by cli.main(), which has its own ideas about Ctrl-C and broken pipes.
        with cli.make_context("kprobesim", sys.argv[1:]) as context:
            cli.invoke(context)
        sys.stdout.flush()
        sys.exit(0)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("", err=True)
        sys.exit(130)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KprobesimError as error:
        click.echo(f"kprobesim: {_told(error)}", err=True)
        if isinstance(error, GuestError) and error.report:
            click.echo(error.report, err=True)
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has enough; nothing may be written any more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        click.echo(f"kprobesim: {error.strerror or error}", err=True)
        sys.exit(1)
    except Exception as error:
        if os.environ.get("KPROBESIM_DEBUG"):
            raise
        click.echo(_told_mistake(error), err=True)
        sys.exit(1)


# What tells an error is loaded when there is one: the lists of commands and options need none of it.


def _told(error: KprobesimError) -> str:
    from kprobesim.error_texts import in_language
    from kprobesim.i18n import default_language

    return in_language(error, default_language())


def _told_mistake(error: Exception) -> str:
    from kprobesim.i18n import Texts, default_language

    texts, language = Texts("kprobesim.cli.texts"), default_language()
    return texts.get(language, "main.mistake", kind=type(error).__name__, message=error) or str(error)
