"""The command line as a user's shell runs it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from kprobesim.cli import main as entry

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-c", "from kprobesim.cli.main import main; main()")


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "KPROBESIM"))}
    return {**kept, "PYTHONPATH": str(REPOSITORY), "LANG": "C.UTF-8", "PYTHONUTF8": "1", **more}


def kprobesim(*arguments: str, given: bytes | str = b"", **more: str) -> "subprocess.CompletedProcess[str]":
    """Run to the end without a terminal; output as text."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=given.encode() if isinstance(given, str) else given,
        capture_output=True,
        env=environment(**more),
        timeout=60,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def start(*arguments: str) -> "subprocess.Popen[bytes]":
    """Start without waiting, all three streams as pipes."""
    pipe = subprocess.PIPE
    # A shell's background jobs, this test run perhaps, ignore SIGINT and would hand that down.
    listen = None if os.name == "nt" else lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(
        [*COMMAND, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, env=environment(), preexec_fn=listen
    )


class Cli:
    """Commands in this process, through `main`'s own handling of errors."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, given: bytes | str = b"") -> Result:
        """Exit status, standard output and standard error of one command."""

        @click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
        @click.argument("rest", nargs=-1, type=click.UNPROCESSED)
        def whole(rest: tuple[str, ...]) -> None:
            self._monkeypatch.setattr("sys.argv", ["kprobesim", *rest])
            entry.main()

        result = CliRunner().invoke(whole, ["--", *arguments], input=given)
        assert "Traceback" not in result.stderr
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result
