"""Options that several commands have."""

from __future__ import annotations

import os
from typing import Any

import click

__all__ = ["lang_option"]


def _choose(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """The choice goes to where `kprobesim.i18n.default_language` looks first, whichever command speaks then."""
    if value:
        os.environ["KPROBESIM_LANG"] = value


def lang_option(command: Any) -> Any:
    """``--lang en|zh``, for every command that prints prose; it takes no argument for it."""
    return click.option(
        "--lang",
        type=click.Choice(["en", "zh"]),
        expose_value=False,
        callback=_choose,
        help="Language; the locale's by default.",
    )(command)
