"""``share`` and ``follow`` as commands."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from kprobesim.classroom import Leader, Shared
from kprobesim.cli.telling import sentence
from kprobesim.lab import Lab
from tests.cli.console import Cli, start


@pytest.mark.skipif(os.name == "nt", reason="signals as on Unix")
async def test_followed_as_text_each_place_of_the_teachers_is_a_sentence() -> None:
    lab = Lab.open("toyix", optimization=False)
    lab.run()
    lab.kprobe("vfs_read")
    lab.type("cat /etc/motd")
    lab.run()
    shared, leader = Shared(), Leader()
    await leader.start("127.0.0.1", 0)
    process = start("follow", leader.link("127.0.0.1"), "--plain")
    assert process.stdout is not None
    hits = [event for event in lab.events() if event.kind == "kprobe.hit"]
    for event in hits[:2]:
        lab.seek(event)
        leader.tell(shared.look(lab))
        line = await asyncio.to_thread(process.stdout.readline)
        assert line.decode().rstrip("\n") == sentence(lab, event, "en")
    await leader.stop()
    output, errors = await asyncio.to_thread(process.communicate, None, 30)
    assert (process.returncode, output) == (0, b"")
    assert errors.decode().splitlines() == [
        "with the teacher",
        "The teacher has ended; you may go on alone.",
    ]


@pytest.mark.skipif(os.name == "nt", reason="signals as on Unix")
async def test_who_follows_can_be_interrupted() -> None:
    leader = Leader()
    await leader.start("127.0.0.1", 0)
    process = start("follow", leader.link("127.0.0.1"), "--plain")
    assert process.stderr is not None
    assert await asyncio.to_thread(process.stderr.readline) == b"with the teacher\n"
    process.send_signal(signal.SIGINT)
    _, errors = await asyncio.to_thread(process.communicate, None, 30)
    assert (process.returncode, errors) == (130, b"\n")
    await leader.stop()


async def test_a_wrong_key_is_told() -> None:
    leader = Leader()
    await leader.start("127.0.0.1", 0)
    process = start("follow", f"127.0.0.1:{leader.port}/another-key", "--plain")
    output, errors = await asyncio.to_thread(process.communicate, None, 30)
    assert (process.returncode, output) == (1, b"")
    assert errors.decode() == ("kprobesim: The teacher's program does not know this key. Was the link copied whole?\n")
    await leader.stop()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["follow", "nowhere"], "is not a link"),
        (["share", "no-such-demo"], "There is no demo named"),
        (["share", "first-probe", "--listen", "here and there"], "is not an address"),
        (["share", "first-probe", "--name", "a b"], "is not a link"),
        (["share", "first-probe"], "needs a terminal"),
    ],
)
def test_what_cannot_be_shared_or_followed_is_told(arguments: list[str], error: str, cli: Cli) -> None:
    done = cli(*arguments)
    assert (done.exit_code, error in done.stderr) == (1, True), done.stderr
