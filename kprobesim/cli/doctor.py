"""``kprobesim doctor``."""

from __future__ import annotations

import locale
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import click

from kprobesim import __version__

__all__ = ["command"]

_PACKAGES = ("unicorn", "capstone", "textual", "click", "pyelftools", "platformdirs")


class _Finding(NamedTuple):
    good: bool
    what: str
    advice: str = ""


@click.command()
def command() -> None:
    """Look for what on this computer may spoil the experience. Exit status 1 if something will not work."""
    bad = False
    for finding in _findings():
        bad = bad or not finding.good
        click.echo(f"{'ok  ' if finding.good else 'BAD '} {finding.what}")
        if finding.advice:
            click.echo(f"     {finding.advice}")
    sys.exit(1 if bad else 0)


def _findings() -> Iterator[_Finding]:
    yield _Finding(
        sys.version_info >= (3, 11),
        f"kprobesim {__version__} on Python {platform.python_version()}, {platform.system()}",
    )
    for package in _PACKAGES:
        try:
            yield _Finding(True, f"{package} {version(package)}")
        except PackageNotFoundError:
            yield _Finding(False, f"{package} is not installed", "Run: pip install -e . in the project's folder.")
    yield _emulator()
    yield _kernels()
    yield from _terminal()


def _emulator() -> _Finding:
    from kprobesim.error_texts import in_language
    from kprobesim.errors import KprobesimError
    from kprobesim.i18n import default_language
    from kprobesim.machine.calibration import calibrate

    try:
        counter = calibrate().counter
    except KprobesimError as error:
        return _Finding(False, "the emulator cannot be used", in_language(error, default_language()))
    if counter is None:
        return _Finding(True, "the emulator works, slowly", "Its counter was not found; a hook counts.")
    return _Finding(True, "the emulator works, instruction counter found")


def _kernels() -> _Finding:
    from kprobesim.image import list_images

    images = list_images()
    built = [image.name for image in images if image.is_built]
    missing = [path.name for image in images for path in image.variants.values() if not path.is_file()]
    if missing:
        return _Finding(False, f"kernel images of some profiles are missing: {', '.join(missing)}", "Run: make kernels")
    if "toyix" in built:
        return _Finding(True, f"kernel images: {', '.join(built)}")
    return _Finding(False, "the kernel image toyix is missing", "Install kprobesim again, or run: make kernels")


def _terminal() -> Iterator[_Finding]:
    if not sys.stdout.isatty():
        yield _Finding(True, "output is not a terminal: demos are played as plain text")
        return
    size = shutil.get_terminal_size()
    fits = size.columns >= 80 and size.lines >= 24
    yield _Finding(
        fits,
        f"terminal of {size.columns} x {size.lines}",
        "" if fits else "Make it 80 x 24 or larger; 120 x 36 is best.",
    )
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    yield _Finding(
        encoding == "utf8",
        f"output encoding {sys.stdout.encoding}",
        ""
        if encoding == "utf8"
        else "Chinese and box characters need UTF-8: set LANG=C.UTF-8, or chcp 65001 on Windows.",
    )
    term = os.environ.get("TERM", "")
    colours = (
        os.environ.get("COLORTERM", "") in ("truecolor", "24bit") or "256" in term or platform.system() == "Windows"
    )
    yield _Finding(
        True,
        f"TERM={term or 'not set'}",
        "" if colours else "Fewer than 256 colours: everything is also marked by glyph and weight.",
    )
    if os.environ.get("NO_COLOR"):
        yield _Finding(True, "NO_COLOR is set: no colours")
    yield _Finding(
        True,
        f"locale {_locale()}",
        "With a Chinese input method on, use arrows, space and function keys: letters do not reach the program.",
    )


def _locale() -> str:
    try:
        return locale.getlocale()[0] or "none"
    except ValueError as error:
        return str(error)
