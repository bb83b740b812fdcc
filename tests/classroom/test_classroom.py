"""Teacher and followers on this computer: what is told, who is let in, and what a hostile other side can do."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobesim.classroom import Follower, Leader, Link, Place, Shared, Told, go_there, read_link
from kprobesim.classroom.link import names_of, new_key, read_address
from kprobesim.classroom.shared import received
from kprobesim.classroom.wire import LIMIT, BrokenOff, moment_of
from kprobesim.classroom.wording import TEXTS
from kprobesim.errors import BadInput, KprobesimError
from kprobesim.lab import Grain, Lab, Moment
from kprobesim.lab.recording import LARGEST, Recording, capture, recording_bytes, replay

PATIENCE = 20.0
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@cache
def probed() -> tuple[Place, tuple[Moment, ...]]:
    """A lab with a probe that was hit, as its teacher shares it, and the moments of its events."""
    lab = Lab.open("toyix", optimization=False)
    lab.run()
    lab.start = lab.moment.insn
    lab.kprobe("vfs_read")
    lab.type("cat /etc/motd")
    lab.run()
    return Shared().look(lab), tuple(event.moment for event in lab.events() if event.moment.insn >= lab.start)


def at(moment: Moment) -> Place:
    return probed()[0]._replace(moment=moment)


def no_matter(_: object) -> None:
    """Where what is heard or counted is not looked at."""


@asynccontextmanager
async def led(**more: Any) -> AsyncIterator[tuple[Leader, Link]]:
    leader = Leader(**more)
    await leader.start("127.0.0.1", 0)
    try:
        yield leader, read_link(leader.link("127.0.0.1"))
    finally:
        await leader.stop()


@asynccontextmanager
async def followed(link: Link, **more: Any) -> AsyncIterator[Follower]:
    follower = Follower(link, no_matter, pauses=(0.05,), **more)
    running = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


async def until(done: Callable[[], bool]) -> None:
    end = asyncio.get_running_loop().time() + PATIENCE
    while not done():
        assert asyncio.get_running_loop().time() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


class TestLinks:
    @pytest.mark.parametrize(
        ("text", "link"),
        [
            ("kprobesim://192.168.1.5:8100/k3x9mwq2ab", Link("192.168.1.5", 8100, "k3x9mwq2ab")),
            (" 192.168.1.5/k3x9mwq2ab\n", Link("192.168.1.5", 8100, "k3x9mwq2ab")),
            ("teacher.local:9/k3x9mwq2ab/", Link("teacher.local", 9, "k3x9mwq2ab")),
            ("kprobesim://[fe80::1%eth0]:8100/k3x9mwq2ab", Link("fe80::1%eth0", 8100, "k3x9mwq2ab")),
        ],
    )
    def test_a_link_is_read_as_people_write_it(self, text: str, link: Link) -> None:
        assert read_link(text) == link
        assert read_link(str(link)) == link

    @pytest.mark.parametrize(
        "text",
        ["", "192.168.1.5", "host/", "host:99999/k3x9mwq2ab", "http://host/k3x9mwq2ab", "a b/k3x9mwq2ab", "x" * 9999],
    )
    def test_what_is_no_link_is_told(self, text: str) -> None:
        with pytest.raises(BadInput, match=r"link|port"):
            read_link(text)

    def test_a_new_key_makes_a_link(self) -> None:
        assert read_link(f"host/{new_key()}").host == "host"
        assert new_key() != new_key()

    def test_an_address_has_the_usual_port_unless_told(self) -> None:
        assert (read_address("0.0.0.0"), read_address("[::]:9")) == (("0.0.0.0", 8100), ("::", 9))
        assert names_of("127.0.0.1") == ["127.0.0.1"]


class TestPlaces:
    def test_the_recording_is_made_anew_only_when_something_was_done(self) -> None:
        lab = Lab.open("toyix", optimization=False)
        lab.run()
        shared = Shared()
        first = shared.look(lab)
        lab.step(Grain.PHASE, back=True)
        second = shared.look(lab)
        assert (second.recording, second.data is first.data) == (first.recording, True)
        assert second.moment < first.moment
        lab.seek_end()
        lab.kprobe("vfs_read")
        assert shared.look(lab).recording != first.recording

    def test_a_machine_with_a_handler_in_python_cannot_be_told(self) -> None:
        lab = Lab.open("toyix")
        lab.run()
        lab.kprobe("vfs_read", pre_handler=lambda probe, regs: 0)
        assert Shared().look(lab)[:2] == ("", b"")

    def test_a_follower_reaches_every_place_and_sees_the_same_machine(self) -> None:
        place, moments = probed()
        teacher = replay(received(place.data, place.recording))
        follower = replay(received(place.data, place.recording))
        for moment in (moments[0], moments[-1], moments[len(moments) // 2], moments[3]):
            teacher.seek(moment)
            go_there(follower, moment, lambda: False)
            assert follower.moment == teacher.moment == moment
            assert follower.registers() == teacher.registers()
            assert follower.last_event == teacher.last_event

    def test_a_place_where_the_follower_has_never_been_is_reached_too(self) -> None:
        lab = Lab.open("toyix", optimization=False)
        lab.run()
        lab.type("spin 30000")
        place = Shared().look(lab)
        lab.run(instructions=30_000_000)
        follower = replay(received(place.data, place.recording))
        go_there(follower, lab.moment, lambda: False)
        assert (follower.moment, follower.registers()) == (lab.moment, lab.registers())

    def test_the_way_to_a_place_can_be_broken_off(self) -> None:
        place, _ = probed()
        follower = replay(received(place.data, place.recording))
        before = follower.moment
        go_there(follower, Moment(20_000_000_000), lambda: True)
        assert follower.moment == before

    def test_no_file_of_the_followers_is_opened_for_a_teacher(self) -> None:
        place, _ = probed()
        plain = json.loads(place.data) | {"kernel": "/etc/passwd"}
        data = json.dumps(plain).encode()
        with pytest.raises(BadInput, match="kernel of their own"):
            received(data, hashlib.sha256(data).hexdigest())

    def test_a_recording_that_was_changed_on_the_way_is_refused(self) -> None:
        place, _ = probed()
        with pytest.raises(BadInput, match="as it was sent"):
            received(place.data + b" ", place.recording)


class TestFollowing:
    async def test_a_follower_hears_of_the_recording_once_and_of_every_place(self) -> None:
        _, moments = probed()
        async with led() as (leader, link), followed(link) as follower:
            await until(lambda: follower.told.state == "connected")
            assert follower.told.recording is None, "nothing is open yet"
            for moment in moments[:5]:
                leader.tell(at(moment))
                await until(lambda moment=moment: follower.told.moment == moment)  # type: ignore[misc]
            assert follower.told.name == probed()[0].recording
            assert isinstance(follower.told.recording, Recording)

    async def test_who_comes_late_hears_of_the_latest_place(self) -> None:
        _, moments = probed()
        async with led() as (leader, link):
            leader.tell(at(moments[4]))
            async with followed(link) as follower:
                await until(lambda: follower.told.moment == moments[4])

    async def test_the_teacher_knows_who_is_there_and_who_explores(self) -> None:
        crowds: list[tuple[int, int]] = []
        async with led(changed=crowds.append) as (leader, link):
            async with followed(link) as one, followed(link):
                await until(lambda: leader.crowd == (2, 0))
                one.be_with(False)
                await until(lambda: leader.crowd == (2, 1))
                one.be_with(True)
                await until(lambda: leader.crowd == (2, 0))
            await until(lambda: leader.crowd == (0, 0))
        assert (2, 1) in crowds

    async def test_when_the_teacher_ends_the_follower_knows(self) -> None:
        async with led() as (leader, link):
            told: list[Told] = []
            follower = Follower(link, told.append)
            running = asyncio.create_task(follower.run())
            await until(lambda: leader.crowd.following == 1)
            await leader.stop()
            await asyncio.wait_for(running, PATIENCE)
            assert told[-1].state == "over"

    async def test_a_broken_connection_is_made_anew(self) -> None:
        _, moments = probed()
        async with led() as (leader, link):
            leader.tell(at(moments[0]))
            async with tunnel(link) as (through, cut), followed(through) as follower:
                await until(lambda: follower.told.moment == moments[0])
                cut()
                leader.tell(at(moments[1]))
                await until(lambda: follower.told.moment == moments[1])

    async def test_a_machine_that_cannot_be_told_is_said_to_be_one(self) -> None:
        async with led() as (leader, link), followed(link) as follower:
            leader.tell(Place("", b"", Moment(5)))
            await until(lambda: follower.told.state == "apart")
            leader.tell(at(probed()[1][0]))
            await until(lambda: follower.told.state == "connected" and follower.told.recording is not None)

    async def test_both_sides_stay_though_nothing_happens(self) -> None:
        async with led(pulse=0.05, silence=0.5) as (leader, link), followed(link, pulse=0.05, silence=0.5) as follower:
            await until(lambda: follower.told.state == "connected")
            await asyncio.sleep(1.2)
            assert (follower.told.state, leader.crowd.following) == ("connected", 1)


class TestNotLetIn:
    async def refusal(self, link: Link) -> str:
        with pytest.raises(KprobesimError) as refused:
            await asyncio.wait_for(Follower(link, no_matter).run(), PATIENCE)
        return str(refused.value)

    async def test_without_the_key(self) -> None:
        async with led() as (leader, link):
            assert "does not know this key" in await self.refusal(link._replace(key="another-key"))
            assert leader.crowd.following == 0

    async def test_when_it_is_full(self) -> None:
        async with led(seats=1) as (leader, link), followed(link):
            await until(lambda: leader.crowd.following == 1)
            assert "No seat is free" in await self.refusal(link)

    async def test_with_another_version(self) -> None:
        async with led() as (leader, link):
            reader, writer = await asyncio.open_connection(link.host, link.port)
            writer.write(json.dumps({"kprobesim": 99, "key": leader.key}).encode() + b"\n")
            assert json.loads(await reader.readline()) == {"refused": "version"}
            await hang_up(writer)


class TestHostileFollowers:
    @pytest.mark.parametrize(
        "sent",
        [b"\n", b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b"x" * (2 * LIMIT), b"[" * (LIMIT - 1) + b"\n", b'{"key": 5}\n',
         b"\xff\n",
         b'{"key": "\\ud800"}\n'],
    )  # fmt: skip
    async def test_whatever_they_send_they_are_gone_and_others_are_served(self, sent: bytes) -> None:
        async with led(silence=1.0, pulse=0.1) as (leader, link), followed(link, pulse=0.1) as follower:
            await until(lambda: leader.crowd.following == 1)
            reader, writer = await asyncio.open_connection(link.host, link.port)
            writer.write(sent)
            answer = await asyncio.wait_for(reader.read(), PATIENCE)
            assert answer in (b"", b'{"refused": "key"}\n')
            await hang_up(writer)
            leader.tell(at(probed()[1][0]))
            await until(lambda: follower.told.recording is not None)

    async def test_one_who_says_nothing_is_given_up(self) -> None:
        async with led(silence=0.3, pulse=0.1) as (leader, link):
            _, writer = await asyncio.open_connection(link.host, link.port)
            writer.write(json.dumps({"kprobesim": 1, "key": leader.key}).encode() + b"\n")
            await until(lambda: leader.crowd.following == 1)
            await until(lambda: leader.crowd.following == 0)
            await hang_up(writer)

    async def test_one_who_does_not_read_holds_up_nobody(self) -> None:
        place, moments = probed()
        big = place._replace(recording="f" * 64, data=b"x" * LARGEST)
        async with led(silence=1.0, pulse=0.1) as (leader, link):
            _, writer = await asyncio.open_connection(link.host, link.port, limit=16)
            writer.write(json.dumps({"kprobesim": 1, "key": leader.key}).encode() + b"\n")
            await until(lambda: leader.crowd.following == 1)
            leader.tell(big)
            await until(lambda: leader.crowd.following == 0)
            await hang_up(writer)
            leader.tell(at(moments[1]))
            async with followed(link, pulse=0.1) as follower:
                await until(lambda: follower.told.moment == moments[1])


class TestHostileTeachers:
    @pytest.mark.parametrize(
        ("lines", "error"),
        [
            ([b'{"kprobesim": 2}\n'], "not a teacher"),
            ([b'{"kprobesim": 1}\n', b'{"recording": "x", "size": 99999999999}\n'], "larger than"),
            ([b'{"kprobesim": 1}\n', b'{"recording": "x", "size": -1}\n'], "larger than"),
            ([b'{"kprobesim": 1}\n', b'{"recording": "x", "size": 2}\n{}'], "as it was sent"),
            ([b'{"kprobesim": 1}\n', b'{"recording": ["x"], "size": true}\n'], "larger than"),
        ],
    )
    async def test_nonsense_ends_the_following_with_a_sentence(self, lines: list[bytes], error: str) -> None:
        async with pretender(lines) as link:
            with pytest.raises(KprobesimError, match=error):
                await asyncio.wait_for(Follower(link, no_matter).run(), PATIENCE)

    @pytest.mark.parametrize(
        "line",
        [b'{"at": [1, 0, 0]}\n', b"x" * (2 * LIMIT), b"\x00\n", b'"text"\n', b'{"recording": "x", "size": 100}\nshort'],
    )
    async def test_a_line_that_breaks_off_is_tried_again(self, line: bytes) -> None:
        async with pretender([b'{"kprobesim": 1}\n', line]) as link, followed(link, silence=1.0) as follower:
            await until(lambda: follower.told.state == "lost")

    async def test_one_who_says_nothing_is_given_up(self) -> None:
        async with pretender([], hold=True) as link, followed(link, silence=0.2) as follower:
            await until(lambda: follower.told.state == "lost")

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=4), st.lists, max_leaves=6))
    def test_a_place_is_three_small_numbers_or_refused(self, value: Any) -> None:
        try:
            moment = moment_of(value)
        except BrokenOff:
            return
        assert list(moment) == value
        assert all(0 <= number <= 20_000_000_000 for number in moment)


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Link]:
    """A server whose connections are over when it is."""
    tasks: set[asyncio.Task[Any]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await answer(reader, writer)
        finally:
            await hang_up(writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield Link("127.0.0.1", server.sockets[0].getsockname()[1], "some-key")
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def pretender(lines: list[bytes], *, hold: bool = False) -> AsyncIterator[Link]:
    """Somebody who is no teacher."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        for line in lines:
            writer.write(line)
        if hold:
            await asyncio.sleep(PATIENCE)

    async with serving(answer) as link:
        yield link


@asynccontextmanager
async def tunnel(link: Link) -> AsyncIterator[tuple[Link, Callable[[], None]]]:
    """A way to a teacher that can be cut."""
    open_now: list[asyncio.StreamWriter] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(link.host, link.port)
        open_now[:] = [writer, back]
        try:
            await asyncio.gather(pass_on(reader, back), pass_on(there, writer), return_exceptions=True)
        finally:
            await hang_up(back)

    def cut() -> None:
        for writer in open_now:
            writer.transport.abort()

    async with serving(answer) as through:
        yield through._replace(key=link.key), cut


def test_what_is_said_is_said_in_both_languages() -> None:
    assert TEXTS.keys("en").keys() == TEXTS.keys("zh").keys()


def test_a_captured_lab_is_what_a_follower_receives() -> None:
    lab = Lab.open("toyix", optimization=False)
    lab.run()
    assert Shared().look(lab).data == recording_bytes(capture(lab))
