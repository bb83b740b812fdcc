"""What a recording becomes: casts, pages, pictures, JSON; the same bytes each time, and right for Chinese."""

import base64
import hashlib
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobesim.i18n import LANGUAGES, Language
from kprobesim.lab.export import as_cast, as_page, as_svg, as_trace, frames_of
from kprobesim.lab.export.frames import Frame, is_shown
from kprobesim.lab.export.screen import COLUMNS, ROWS, draw
from kprobesim.lab.export.widths import cells, fit, runs, wrap
from kprobesim.lab.recording import replay
from tests.lab.recording.lives import full

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</script><img src=x onerror=alert(1)> & <!-- \x1b[31m \x07 中文"


def frames() -> list[Frame]:
    lab, recording = full()
    return frames_of(lab, recording.bookmarks)


# Widths


@pytest.mark.parametrize(("text", "width"), [("", 0), ("abc", 3), ("中文", 4), ("e\u0301", 1), ("，", 2), ("─▶", 2)])
def test_a_text_has_the_width_that_a_terminal_gives_it(text: str, width: int) -> None:
    assert cells(text) == width


@given(st.text(alphabet="ab 中文，é\u0301x"), st.integers(2, 30))
def test_fitted_and_wrapped_lines_have_their_width_and_lose_no_character(text: str, width: int) -> None:
    assert cells(fit(text, width)) == width
    lines = wrap(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert "".join(run for run, _ in runs(text)) == text


def test_a_mark_that_a_font_may_draw_wider_than_a_letter_is_placed_by_itself() -> None:
    assert list(runs("▶ab …")) == [("▶", 1), ("ab ", 3), ("…", 1)]
    assert list(runs("e\u0301中文")) == [("e\u0301", 1), ("中文", 4)]


# Frames and screens


def test_there_is_a_frame_for_each_event_worth_one_and_for_each_bookmark() -> None:
    lab, recording = full()
    marked = {mark.moment for mark in recording.bookmarks}
    wanted = [
        event.seq
        for event in lab.events()
        if event.moment.insn >= lab.start and (is_shown(event) or event.moment in marked)
    ]
    before = lab.moment
    assert [frame.seq for frame in frames()] == wanted
    assert lab.moment == before
    assert [frame.notes for frame in frames() if frame.notes] == [("命中",), ("a later one",)]


def test_a_frame_shows_the_machine_just_after_its_event() -> None:
    lab, _ = full()
    frame = next(frame for frame in frames() if frame.kind == "kprobe.hit")
    assert frame.phase == "pre-handler" or frame.phase
    assert frame.registers["rip"] == int(f"{frame.registers['rip']:#x}", 16)
    poke = next(frame for frame in frames() if frame.kind == "kprobe.singlestep")
    assert any(row.is_next for row in poke.code)
    assert "rip" in {name for frame in frames() for name in frame.changed}
    assert len(frames_of(lab, most=3)) == 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_row_of_a_screen_has_its_width(language: Language) -> None:
    for number, frame in enumerate(frames(), 1):
        rows = draw(frame, language, number, 100, "标题")
        assert len(rows) == ROWS
        assert {sum(cells(span.text) for span in row) for row in rows} == {COLUMNS}


# Casts


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_cast_is_a_header_and_events_with_markers(language: Language) -> None:
    lines = [json.loads(line) for line in as_cast(frames(), language, "标题").splitlines()]
    assert lines[0] == {"version": 3, "term": {"cols": COLUMNS, "rows": ROWS}, "title": "标题"}
    assert {code for _, code, _ in lines[1:]} == {"o", "m", "x"}
    assert all(interval >= 0 for interval, _, _ in lines[1:])
    markers = [data for _, code, data in lines[1:] if code == "m"]
    assert "命中" in markers
    assert len([1 for _, code, _ in lines[1:] if code == "o"]) == len(frames())


def test_what_the_machine_printed_moves_no_cursor_of_the_viewer() -> None:
    frame = frames()[0]
    text = as_cast([frame_with(frame, HOSTILE)], "en", HOSTILE)
    screen = json.loads(text.splitlines()[2])[2]
    assert set(re.findall("\x1b\\[[0-9;]*[A-Za-z]?|\x1b", screen)) <= {
        "\x1b[H", "\x1b[2J", "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[7m", "\x1b[1;33m",
    }  # fmt: skip
    assert "\x07" not in screen


def frame_with(frame: Frame, console: str) -> Frame:
    from dataclasses import replace

    return replace(frame, console=console, notes=(console,))


# Pages


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[int, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts[len(self.tags) - 1] = self.texts.get(len(self.tags) - 1, "") + data

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", {}))

    def text_of(self, number: int) -> str:
        return self.texts.get(number, "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_needs_nothing_from_outside_and_lets_nothing_else_run(language: Language) -> None:
    text = as_page(frames(), language, "标题")
    page = Page(text)
    assert not [attributes for _, attributes in page.tags if attributes.keys() & {"src", "href", "action", "onclick"}]
    assert "http" not in text.replace("http-equiv", "")
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy") or ""
    scripts = [number for number, (tag, a) in enumerate(page.tags) if tag == "script" and not a.get("type")]
    styles = [number for number, (tag, _) in enumerate(page.tags) if tag == "style"]
    for kind, numbers in (("script", scripts), ("style", styles)):
        (number,) = numbers
        digest = base64.b64encode(hashlib.sha256(page.text_of(number).encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_a_page_holds_all_steps_in_both_languages_and_is_closed_to_what_the_machine_printed() -> None:
    shown = [frame_with(frame, HOSTILE) for frame in frames()]
    page = Page(as_page(shown, "zh", f"{HOSTILE} @data@"))
    assert page.text_of(next(number for number, (tag, _) in enumerate(page.tags) if tag == "h1")) == f"{HOSTILE} @data@"
    assert [tag for tag, _ in page.tags].count("img") == 0
    assert [tag for tag, _ in page.tags].count("script") == 2
    number = next(number for number, (_, a) in enumerate(page.tags) if a.get("id") == "data")
    data = json.loads(page.text_of(number))
    assert data["language"] == "zh"
    assert [frame["seq"] for frame in data["frames"]] == [frame.seq for frame in shown]
    assert data["frames"][0]["console"] == HOSTILE
    assert all(set(frame["told"]) == set(LANGUAGES) for frame in data["frames"])
    assert data["words"]["zh"].keys() == data["words"]["en"].keys()


def test_every_element_that_the_script_asks_for_is_there() -> None:
    text = as_page(frames(), "en", "t")
    page = Page(text)
    ids = {a["id"] for _, a in page.tags if "id" in a}
    asked = set(re.findall(r'\bat\("([a-z-]+)"\)', text))
    assert asked <= ids
    assert len(asked) > 10
    assert "prefers-reduced-motion" in text and "prefers-color-scheme" in text


# Pictures


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_picture_keeps_every_run_of_characters_on_the_grid(language: Language) -> None:
    for frame in frames()[:12]:
        root = ET.fromstring(as_svg(frame_with(frame, HOSTILE), language, "标题"))
        texts = root.findall(f"{SVG}text")
        assert texts
        for text in texts:
            assert text.text is not None
            assert float(text.attrib["textLength"]) == pytest.approx(cells(text.text) * 8.4, abs=0.01)
            assert float(text.attrib["x"]) + float(text.attrib["textLength"]) <= COLUMNS * 8.4 + 12.01
        assert not root.findall(f".//{SVG}script")


# JSON, and all of it twice


def test_json_holds_the_recording_and_every_event_with_its_sentences() -> None:
    lab, recording = full()
    whole = json.loads(as_trace(lab, recording))
    assert whole["recording"] == recording.as_json()
    events = [event for event in lab.events() if event.moment.insn >= lab.start]
    assert [event["seq"] for event in whole["events"]] == [event.seq for event in events]
    assert whole["events"][0]["narration"]["zh"]["what"] == lab.narrate(events[0], "zh").what


def test_the_same_recording_gives_the_same_bytes() -> None:
    _, recording = full()
    made = []
    for _ in range(2):
        lab = replay(recording)
        shown = frames_of(lab, recording.bookmarks)
        made.append((as_cast(shown, "zh", "t"), as_page(shown, "zh", "t"), as_svg(shown[0], "zh", "t")))
    assert made[0] == made[1]
