"""``kprobesim follow``."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import click

from kprobesim.classroom import Follower, Link, Told, go_there, read_link, say
from kprobesim.cli.options import lang_option
from kprobesim.cli.telling import sentence
from kprobesim.i18n import Language, default_language
from kprobesim.lab import Lab
from kprobesim.lab.recording import replay

__all__ = ["command"]

_SAID: Final = {"connected": "with"}


@click.command()
@click.argument("link")
@click.option("--plain", is_flag=True, help="A sentence for each place of the teacher's instead of the screen.")
@lang_option
def command(link: str, plain: bool) -> None:
    """Follow the teacher at LINK, which the teacher's kprobesim share shows.

    Whoever moves on the screen explores alone; Ctrl+G goes back to the teacher.
    """
    teacher = read_link(link)
    if plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return asyncio.run(_tell(teacher, default_language()))
    from kprobesim.tui.class_apps import run_following

    sys.exit(run_following(teacher, default_language()))


async def _tell(link: Link, language: Language) -> None:
    """Print where the teacher is, until the teacher ends."""
    news = asyncio.Event()
    follower = Follower(link, lambda told: news.set())
    following = asyncio.create_task(follower.run())
    following.add_done_callback(lambda _: news.set())
    shown: Told | None = None
    lab: Lab | None = None
    while not (following.done() and shown == follower.told):
        await news.wait()
        news.clear()
        told = follower.told
        if told.state != (shown.state if shown else "connecting"):
            click.echo(say(language, _SAID.get(told.state, told.state), link=link), err=True)
        if told.recording is not None and (shown is None or (told.name, told.moment) != (shown.name, shown.moment)):
            if lab is None or shown is None or told.name != shown.name:
                lab = await asyncio.to_thread(replay, told.recording)
            await asyncio.to_thread(go_there, lab, told.moment, lambda: False)
            if lab.last_event is not None:
                click.echo(sentence(lab, lab.last_event, language))
        shown = told
        if following.done():
            news.set()
            await following
