"""The web server: who may come in, who has a seat, and what a stranger's messages can do."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
from aiohttp import ClientSession, WSMsgType, WSServerHandshakeError

from kprobesim.classroom import Leader, Shared
from kprobesim.i18n import Texts
from kprobesim.lab import Lab
from kprobesim.serve.session import LARGEST_MESSAGE, size_of
from tests.browser import browser, needs_chromium
from tests.cli.console import Cli, start
from tests.serve.rig import KEY, alive, drawn, seated, served, until


class TestTheKey:
    @pytest.mark.parametrize("path", ["", "wrong/", "/", f"{KEY}x/", f"{KEY[:-1]}/", f"x/{KEY}/", "%00/", "é/ws"])
    async def test_without_it_there_is_only_a_page_that_says_so(self, path: str) -> None:
        async with served() as (server, _), ClientSession() as client:
            for end in ("", "ws", "file/textual.js"):
                async with client.get(f"http://127.0.0.1:{server.port}/{path}{end}") as answer:
                    text = await answer.text()
                    assert (answer.status, "the key" in text, KEY in text) == (403, True, False)

    async def test_the_socket_needs_it_too(self) -> None:
        async with served() as (server, _), ClientSession() as client:
            with pytest.raises(WSServerHandshakeError, match="403"):
                await client.ws_connect(f"http://127.0.0.1:{server.port}/another-key-than-that/ws")

    async def test_with_it_only_the_files_of_the_page_are_served(self) -> None:
        async with served() as (_, base), ClientSession() as client:
            for name, status in {
                "textual.js": 200, "mono.ttf": 200, "page.css": 200, "": 404, "index.html": 404,
                "..%2Fserver.py": 404, "%2Fetc%2Fpasswd": 404,
            }.items():  # fmt: skip
                async with client.get(f"{base}file/{name}") as answer:
                    assert answer.status == status, name


class TestThePage:
    async def test_it_names_no_other_host_and_its_policy_allows_none(self) -> None:
        async with served() as (_, base), ClientSession() as client, client.get(base) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "://" not in await answer.text()
            assert answer.headers["Referrer-Policy"] == "no-referrer", "the key would leak"

    @pytest.mark.parametrize(
        ("wanted", "words"), [("zh-CN,en;q=0.5", "正在启动"), ("de", "is starting"), ("", "is starting")]
    )
    async def test_it_speaks_the_browsers_language(self, wanted: str, words: str) -> None:
        headers = {"Accept-Language": wanted}
        async with served() as (_, base), ClientSession() as client, client.get(base, headers=headers) as answer:
            assert words in await answer.text()

    @pytest.mark.parametrize(("asked", "size"), [("32", "32"), ("900", "64"), ('1"><script>', "16"), ("-4", "16")])
    async def test_letters_can_be_larger(self, asked: str, size: str) -> None:
        asking = {"fontsize": asked}
        async with served() as (_, base), ClientSession() as client, client.get(base, params=asking) as answer:
            assert f'data-font-size="{size}"' in await answer.text()


class TestSeats:
    async def test_when_all_are_taken_a_page_says_so_and_tries_again(self) -> None:
        async with served(seats=1) as (_, base), ClientSession() as client, seated(client, base):
            async with client.get(base) as answer:
                assert (answer.status, answer.headers["Refresh"]) == (503, "10")
                assert "All 1 seats are taken" in await answer.text()
            with pytest.raises(WSServerHandshakeError, match="503"):
                await client.ws_connect(f"{base}ws")

    async def test_a_session_ends_when_its_browser_goes(self) -> None:
        async with served(seats=1) as (server, base), ClientSession() as client:
            async with seated(client, base):
                pid = server.sessions[0].pid
                assert alive(pid)
            await until(lambda: server.visitors == 0)
            assert not alive(pid)
            async with seated(client, base):
                assert server.visitors == 1

    async def test_who_types_nothing_loses_the_seat(self) -> None:
        async with served(idle=0.5) as (server, base), ClientSession() as client:
            async with client.ws_connect(f"{base}ws") as socket:
                async for _ in socket:
                    pass
            await until(lambda: server.visitors == 0)

    async def test_quitting_the_app_closes_the_socket(self) -> None:
        async with served() as (server, base), ClientSession() as client, seated(client, base) as socket:
            await socket.send_json(["stdin", "q"])
            async for _ in socket:
                pass
            await until(lambda: server.visitors == 0)

    async def test_who_comes_back_finds_the_progress(self) -> None:
        async with served() as (_, base), ClientSession() as client:
            async with client.get(base) as answer:
                cookies = {name: morsel.value for name, morsel in answer.cookies.items()}
            async with ClientSession(cookies=cookies) as visitor:
                async with seated(visitor, base) as socket:
                    await socket.send_json(["stdin", "\r"])
                    await drawn(socket, "Task 1 of")
                    await socket.send_json(["stdin", "\x0e"])  # Ctrl-N passes over the task
                    await drawn(socket, "Passed over")
                async with seated(visitor, base) as socket:
                    await socket.send_json(["stdin", "\r"])
                    await drawn(socket, "Task 2 of")

    async def test_a_cookie_that_was_made_up_is_nobodys(self) -> None:
        made_up = {"kprobesim_visitor": f"{'0' * 32}.{'0' * 64}"}
        async with served() as (_, base), ClientSession() as client, client.get(base, cookies=made_up) as answer:
            assert "kprobesim_visitor" in answer.cookies, "it gets one of its own"


class TestFollowing:
    async def test_all_visitors_follow_the_teacher_whom_the_host_named(self) -> None:
        leader = Leader()
        await leader.start("127.0.0.1", 0)
        lab = Lab.open("toyix")
        lab.run()
        link = leader.link("127.0.0.1")
        async with served(teacher=link) as (_, base), ClientSession() as http, http.ws_connect(f"{base}ws") as socket:
            await drawn(socket, "Nothing has been opened yet")
            leader.tell(Shared().look(lab))
            await drawn(socket, "with the teacher")
            assert leader.crowd.following == 1
            await drawn(socket, "cpu0")
            await socket.send_json(["stdin", "\x1b[D"])
            await drawn(socket, "on your own")
        await leader.stop()


class TestStrangers:
    async def test_messages_that_make_no_sense_are_passed_over(self) -> None:
        async with served() as (_, base), ClientSession() as client, seated(client, base) as socket:
            for text in (
                "", "{}", "[]", "[1, 2]", '["stdin"]', '["stdin", 5]', '["stdin", "\\ud800"]', '["resize", {}]',
                '["resize", {"width": 1e99, "height": -1}]', '["resize", {"width": "9999999999", "height": [1]}]',
                '["quit"]', '["deliver_chunk_request", {}]', "[" * 10_000, '["ping", "' + "x" * 5_000 + '"]',
            ):  # fmt: skip
                await socket.send_str(text)
            await socket.send_bytes(b'M\x00\x00\x00\x0f{"type":"quit"}')
            await socket.send_json(["ping", "7"])
            while True:
                message = await socket.receive(timeout=20)
                if message.type is WSMsgType.TEXT:
                    assert message.json() == ["pong", "7"]
                    break
                assert message.type is WSMsgType.BINARY

    async def test_a_message_that_is_too_large_ends_only_its_own_session(self) -> None:
        async with served() as (server, base), ClientSession() as client, seated(client, base) as other:
            async with seated(client, base) as socket:
                await socket.send_str("x" * (LARGEST_MESSAGE + 1))
                async for _ in socket:
                    pass
            await until(lambda: server.visitors == 1)
            await other.send_json(["stdin", "\r"])
            await drawn(other, "cpu0")

    @pytest.mark.parametrize(
        ("said", "size"),
        [
            (("120", "36"), (120, 36)), ((120, 36), (120, 36)), (("0", "99999"), (1, 200)), ((None, "²"), (80, 24)),
            (("-5", "1e9"), (80, 24)), ((True, [3]), (80, 24)), (("9" * 5_000, ""), (80, 24)),
        ],
    )  # fmt: skip
    def test_a_size_is_a_size(self, said: tuple[object, object], size: tuple[int, int]) -> None:
        assert size_of(*said) == size


@pytest.mark.skipif(os.name == "nt", reason="signals as on Unix")
class TestTheCommand:
    def _link(self, line: bytes) -> str:
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+/[\w-]{16,}/)\n", line.decode())
        assert found is not None, line
        return found[1]

    @pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    async def test_it_prints_a_link_and_ends_cleanly_with_its_visitors(self, sent: int, status: int) -> None:
        process = start("serve", "--port", "0")
        assert process.stdout is not None
        link = self._link(process.stdout.readline())
        async with ClientSession() as client, seated(client, link):
            process.send_signal(sent)
            _, errors = process.communicate(timeout=30)
        assert process.returncode == status
        assert "Traceback" not in errors.decode()

    @pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
    async def test_visitors_do_not_outlive_a_server_that_was_killed(self) -> None:
        process = start("serve", "--port", "0")
        assert process.stdout is not None
        link = self._link(process.stdout.readline())
        async with ClientSession() as client, seated(client, link):
            children = [
                int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            ]
            process.kill()
            process.communicate(timeout=30)
            assert children
            end = time.monotonic() + 20
            while any(alive(pid) and "Z" not in _state(pid) for pid in children):
                assert time.monotonic() < end, "a visitor is left"
                time.sleep(0.1)

    def test_a_recording_that_is_none_is_told_at_once(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "x.json").write_text("{}")
        done = cli("serve", str(tmp_path / "x.json"))
        assert (done.exit_code, "not a kprobesim recording" in done.stderr) == (1, True)

    def test_a_teacher_who_cannot_be_found_is_told_at_once(self, cli: Cli) -> None:
        done = cli("serve", "--follow", "no.such.host.invalid/some-key1")
        assert (done.exit_code, "no computer called" in done.stderr) == (1, True)

    @pytest.mark.parametrize("url", ["school.example", "ftp://school.example", "http://", "http://["])
    def test_a_public_address_that_is_none_is_wrong_usage(self, url: str, cli: Cli) -> None:
        assert cli("serve", "--public-url", url).exit_code == 2

    def test_without_its_packages_it_says_what_to_install(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "textual_serve", None)
        done = cli("serve")
        assert (done.exit_code, "pip install 'kprobesim[serve]'" in done.stderr) == (1, True)

    @pytest.mark.parametrize("key", ["short", "a key with blanks in it", "0123456789abcdé0123"])
    def test_a_key_that_is_easy_to_guess_or_breaks_the_link_is_refused(
        self, key: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KPROBESIM_KEY", key)
        done = cli("serve")
        assert (done.exit_code, "KPROBESIM_KEY" in done.stderr) == (1, True)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_the_pages_speak_both_languages() -> None:
    texts = Texts("kprobesim.serve.texts")
    assert texts.keys("en").keys() == texts.keys("zh").keys()


@needs_chromium
class TestInABrowser:
    async def test_a_lesson_is_opened_and_stepped_and_nothing_else_is_fetched(self) -> None:
        async with served() as (server, base), browser("--lang=en") as page:
            await page.open(base)
            await page.until("document.body.classList.contains('-first-byte')")
            await until(lambda: b"The first probe" in page.received)
            await page.press("Enter")
            await until(lambda: b"cpu0" in page.received)
            before = len(page.received)
            await page.press("ArrowRight")
            await until(lambda: len(page.received) > before)
            assert page.complaints == []
            origin = base.partition("://")[2]
            assert {url.partition("://")[2].startswith(origin) for url in page.requests} == {True}
            await page.open("about:blank")
            await until(lambda: server.visitors == 0)

    async def test_a_session_that_ended_offers_another(self) -> None:
        async with served(language="zh") as (server, base), browser() as page:
            await page.open(base)
            await until(lambda: "课程".encode() in page.received)
            await page.press("q")
            await page.until("getComputedStyle(document.getElementById('ended')).display === 'flex'")
            await until(lambda: server.visitors == 0)
            await page.click("#again")
            await until(lambda: server.visitors == 1)

    async def test_a_full_house_is_a_page(self) -> None:
        async with served(seats=1) as (_, base), ClientSession() as client, seated(client, base), browser() as page:
            await page.open(base)
            assert await page.value("document.querySelector('h1').textContent") == "No seat is free"
