"""The page of an exported recording, in a browser that has no network."""

import json
from pathlib import Path

from kprobesim.lab.export import as_page, frames_of
from kprobesim.lab.export.frames import Frame
from tests.browser import Browser, browser, needs_chromium
from tests.lab.recording.lives import full


def frames() -> list[Frame]:
    lab, recording = full()
    return frames_of(lab, recording.bookmarks)


async def text(page: Browser, name: str) -> str:
    told = await page.value(f"document.getElementById({name!r}).textContent")
    assert isinstance(told, str)
    return told


@needs_chromium
async def test_keys_buttons_and_the_language_switch_move_through_the_recording(tmp_path: Path) -> None:
    shown = frames()
    (tmp_path / "page.html").write_text(as_page(shown, "en", "A recording"), encoding="utf-8")
    address = (tmp_path / "page.html").as_uri()
    async with browser() as page:
        await page.open(address)
        assert await text(page, "what") == shown[0].narration["en"].what
        for _ in range(3):
            await page.press("ArrowRight")
        assert await text(page, "what") == shown[3].narration["en"].what
        assert await page.value("location.hash") == "#step=4"
        await page.press("ArrowLeft")
        assert await text(page, "why") == shown[2].narration["en"].why
        await page.click("#forth")
        await page.click("#language")
        assert await text(page, "what") == shown[3].narration["zh"].what
        assert await text(page, "code-title") == "代码"
        await page.press("End")
        assert await text(page, "step") == f"第 {len(shown)} 步，共 {len(shown)} 步"
        assert await text(page, "console") == shown[-1].console
        await page.click("#first")
        assert await text(page, "what") == shown[0].narration["zh"].what
        rows = json.loads(
            await page.value("JSON.stringify([...document.querySelectorAll('#code tr')].map(r => r.innerText))")
        )
        assert len(rows) == len(shown[0].code)
        assert page.requests == [address]
        assert page.complaints == []


@needs_chromium
async def test_nothing_is_cut_off_on_a_telephone_and_a_link_opens_its_step(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(as_page(frames(), "zh", "录制"), encoding="utf-8")
    async with browser() as page:
        await page.open(f"{(tmp_path / 'page.html').as_uri()}#step=5", 390, 800)
        assert (await text(page, "step")).startswith("第 5 步")
        assert await page.value("document.documentElement.scrollWidth <= innerWidth")
