"""What stands on the screen: both layouts, both languages, start screen, help, palette, small terminals."""

import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from kprobesim.i18n import Language
from kprobesim.lab import Lab
from kprobesim.tui import KprobesimApp
from kprobesim.tui.panels.header import Header
from kprobesim.tui.panels.narration import NarrationPanel
from kprobesim.tui.screens.help import HelpScreen
from kprobesim.tui.screens.lab import LabScreen
from kprobesim.tui.screens.start import StartScreen
from tests.tui.rig import (
    COUNT_READS,
    LARGE,
    SMALL,
    Demo,
    front,
    lab_app,
    lab_screen,
    now,
    open_plain,
    press,
    screen_lines,
    screen_text,
    settle,
    wait_until,
)

TEXT = "# A lesson\n\nRead this first.\n\n- one\n- two\n"


async def test_the_large_screen_shows_everything_at_once() -> None:
    async with lab_app(LARGE) as pilot:
        text = screen_text(pilot)
        for expected in (
            "toyix · bare · 1 CPU",
            "Counting reads",
            "● kprobe_int3_handler",
            "1 code ─ vfs_read ─ read_write.c",
            "cc (was 55)",
            "push %rbp",
            "2 registers ─ kprobe_int3_h",
            "flags cf PF zf sf tf if df of",
            "current   vfs_read+0x",
            "status    HIT_ACTIVE",
            "slot      ffffffffa0000000",
            "regs->ip    vfs_read+0x",
            "5 BPF ─ by_pid ─ at rest",
            "call get_current_pid_tgid",
            "counts  hash  4B → 8B  0 / 64",
            "What happened",
            "Why: ",
            "kprobe.hit",
            "← → step",
        ):
            assert expected in text, expected


async def test_the_small_screen_keeps_banner_narration_and_keys_and_shows_one_panel_with_its_neighbour() -> None:
    async with lab_app(SMALL) as pilot:
        lines = screen_lines(pilot)
        assert len(lines) == 24
        assert "●kprobe_int3_handler" in lines[1]
        assert "1 code ─ vfs_read" in lines[2] and "3 kprobe" in lines[2]
        assert "What happened" in screen_text(pilot)
        assert "← → step" in lines[-1] and "q quit" in lines[-1]
        for heading in ("2 registers", "3 kprobe", "4 stack", "5 BPF", "6 maps", "7 events", "8 verifier", "9 tasks"):
            await press(pilot, "tab")
            assert heading in screen_lines(pilot)[2]
        await press(pilot, "shift+tab")
        assert "8 verifier" in screen_lines(pilot)[2]
        await press(pilot, "0")
        assert "0 console" in screen_lines(pilot)[2], "its key is 0"
        assert "10 console" not in screen_lines(pilot)[2]
        await press(pilot, "tab")
        assert "1 code" in screen_lines(pilot)[2]
        await press(pilot, "4")
        assert "4 stack" in screen_lines(pilot)[2]


async def test_every_sentence_of_a_hit_is_whole_on_a_small_screen() -> None:
    async with lab_app(SMALL) as pilot:
        for _ in range(12):
            told = pilot.app.screen.query_one(NarrationPanel).render().plain
            assert len(told.splitlines()) <= 4 and "…" not in told
            await press(pilot, "right")
        await press(pilot, "4", "backspace")
        assert "regs->orig_ax" in screen_text(pilot), "names of fields, too"


@pytest.mark.parametrize("size", [LARGE, SMALL, (200, 50), (60, 20)])
async def test_every_line_is_as_wide_as_the_screen_and_no_frame_moves_while_stepping(size: tuple[int, int]) -> None:
    async with lab_app(size) as pilot:
        frames = _corners(screen_lines(pilot))
        for key in ("right",) * 5 + ("f3",) + ("right",) * 2 + ("left",) * 2:
            await press(pilot, key)
            lines = screen_lines(pilot)
            assert {cell_len(line) for line in lines} == {size[0]}
            assert _corners(lines) == frames


def _corners(lines: list[str]) -> list[tuple[int, int]]:
    """Where the frames' lower corners are, in cells; titles in the upper edge may change."""
    return [
        (y, cell_len(line[:x])) for y, line in enumerate(lines) for x, letter in enumerate(line) if letter in "╰╯┗┛╭┏"
    ]


async def test_the_header_of_the_smallest_screen_tells_machine_time_and_event_whole() -> None:
    async with lab_app((60, 20)) as pilot:
        head = screen_lines(pilot)[0]
        assert re.search(r" 1 CPU  .*  \d+\.\d{3} ms +event \d+ / \d+ $", head), head


async def test_a_dialog_outlives_a_terminal_that_becomes_tiny_and_large_again() -> None:
    async with lab_app(SMALL) as pilot:
        await press(pilot, "f9", *"cat")
        for size in ((40, 10), (120, 36), (60, 20)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert "cat" in screen_text(pilot) and {cell_len(line) for line in screen_lines(pilot)} == {size[0]}
        await press(pilot, "escape")
        assert front(pilot) is LabScreen and "q quit" in screen_lines(pilot)[-1]


async def test_the_keys_of_a_dialog_that_end_it_are_whole_on_the_smallest_screen() -> None:
    async with lab_app((60, 20)) as pilot:
        for key, words in (("f12", "Esc closes"), ("insert", "Esc put aside"), ("enter", "Esc closes")):
            await press(pilot, key)
            assert words in screen_text(pilot), key
            await press(pilot, "escape")


async def test_help_leaves_no_room_for_groups_of_which_it_has_nothing_to_say() -> None:
    async with KprobesimApp(None, "en", scenarios=lambda: [Demo()]).run_test(size=SMALL) as pilot:
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, StartScreen))
        await pilot.press("f1")
        await pilot.pause(0.1)
        lines = screen_lines(pilot)
        said = next(y for y, line in enumerate(lines) if "taken back" in line)
        assert any("Application" in line for line in lines[said : said + 4])


async def test_a_terminal_too_small_for_a_layout_says_what_it_needs() -> None:
    async with lab_app((40, 10)) as pilot:
        text = screen_text(pilot)
        assert "This terminal is 40 x 10." in text
        assert "at least 60 x 20" in text
        assert "code" not in text
        await pilot.resize_terminal(120, 36)
        await pilot.pause()
        assert "1 code" in screen_text(pilot)


async def test_the_language_changes_at_once_and_back() -> None:
    async with lab_app() as pilot:
        await press(pilot, "f3")
        text = screen_text(pilot)
        for expected in ("1 代码", "2 寄存器", "刚刚发生了什么", "为什么：", "数 read", "← → 单步", "由宿主代演"):
            assert expected in text, expected
        await press(pilot, "f3")
        assert "What happened" in screen_text(pilot)


async def test_changed_registers_are_marked_and_keep_their_old_value() -> None:
    async with lab_app() as pilot:
        await press(pilot, "down", "down", "home", "space", "right", "right")
        before = now(pilot).registers
        await press(pilot, "right")
        after = now(pilot).registers
        changed = [name for name in ("rip", "rax", "rsp") if before[name] != after[name]]
        assert "rip" in changed
        line = next(line for line in screen_lines(pilot) if "▸rip" in line)
        assert f"{after['rip']:016x} ←" in line


async def test_a_new_map_element_and_bpf_registers_are_shown_while_the_program_runs() -> None:
    async with lab_app() as pilot:
        for _ in range(8):
            if (event := now(pilot).event) is not None and "bpf_map_update_elem" in event.fields.values():
                break
            await press(pilot, "right")
        text = screen_text(pilot)
        assert "● BPF" in text
        assert "by_pid ─ running" in text
        assert "clobbered" in text or "map[counts]" in text
        assert "1  1 +" in text


async def test_a_whole_hit_visits_every_phase_of_the_banner() -> None:
    async with lab_app() as pilot:
        seen = [now(pilot).phase.value]
        for key in ("left",) * 4 + ("space",) + ("right",) * 12:
            await press(pilot, key)
            seen.append(now(pilot).phase.value)
        assert set(seen) == {
            "run", "#BP", "gate", "pt_regs", "kprobe_int3_handler", "BPF", "slot", "#BP 2", "resume",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("profile", "kind", "names"),
    [
        ("distro", "kprobe.pre_handler", ["run", "pt_regs", "kprobe_ftrace_handler", "BPF", "resume"]),
        ("distro", "rethook.handler", ["run", "rethook_trampoline_handler", "BPF"]),
        ("bare", "rethook.handler", ["run", "rethook_trampoline_handler", "BPF"]),
    ],
)
async def test_the_banner_names_the_handler_that_runs(profile: str, kind: str, names: list[str]) -> None:
    def opener() -> Lab:
        lab = Lab.open("toyix", profile=profile, optimization=False)
        lab.load_program(COUNT_READS, "by_pid")
        lab.attach("by_pid", "vfs_read", returns=kind == "rethook.handler")
        lab.type("cat /etc/motd")
        lab.run(until=[kind])
        return lab

    handler = next(name for name in names if name.endswith("_handler"))
    async with lab_app(demo=Demo(opener)) as pilot:
        assert re.findall(r"([●○]) (\w+)", screen_lines(pilot)[1]) == [("●" if n == handler else "○", n) for n in names]
        await press(pilot, "left", "left")
        assert re.findall(r"([●○]) (\w+)", screen_lines(pilot)[1]) == [("●" if n == "BPF" else "○", n) for n in names]


async def test_the_saved_ip_is_seen_to_move_into_the_slot() -> None:
    async with lab_app() as pilot:
        for _ in range(12):
            if (event := now(pilot).event) is not None and event.kind == "kprobe.singlestep":
                break
            await press(pilot, "right")
        text = screen_text(pilot)
        assert "regs->ip    slot+0x0" in text
        assert "HIT_SS ← HIT_ACTIVE" in text


async def test_a_probe_without_a_slot_gives_no_word_on_the_stack_a_name() -> None:
    def opener() -> Lab:
        lab = Lab.open("toyix", profile="distro", optimization=False)
        lab.kprobe("vfs_read")
        lab.type("cat /etc/motd")
        lab.run(until=["kprobe.hit"])
        return lab

    async with lab_app(demo=Demo(opener)) as pilot:
        await press(pilot, "4")
        text = screen_text(pilot)
        assert "slot      none: ftrace serves" in text
        assert "0000000000000000" in text and "slot+" not in text


async def test_f5_makes_a_panel_large_and_small_again() -> None:
    async with lab_app() as pilot:
        await press(pilot, "2", "f5")
        text = screen_text(pilot)
        assert "2 registers" in text and "1 code" not in text and "What happened" in text
        await press(pilot, "escape")
        assert "1 code" in screen_text(pilot)


async def test_page_keys_look_around_in_a_panel_until_the_next_step() -> None:
    async with lab_app() as pilot:
        text = screen_text(pilot)
        await press(pilot, "pagedown")
        assert screen_text(pilot) != text
        await press(pilot, "pageup")
        assert screen_text(pilot) == text


async def test_the_number_of_the_event_is_whole_also_where_there_are_thousands() -> None:
    async with lab_app(SMALL) as pilot:
        widths = set()
        for seq in (45, 7890):
            moment = replace(now(pilot), comm="swapper/1", seq=seq, total=7890)
            lab_screen(pilot).query_one(Header).show(moment, "A demo with a long title", "en")
            await pilot.pause()
            line = screen_lines(pilot)[0]
            assert f"event {seq:,} / 7,890" in line
            widths.add(line.index("cpu0"))
        assert len(widths) == 1, "nothing moves on the way there"


async def test_the_frame_says_where_rows_go_on() -> None:
    async with lab_app(SMALL) as pilot:
        assert re.search(r"━ ↓ ━┛", screen_text(pilot)), "the code follows the CPU: no number that would always change"
        await press(pilot, "2")
        assert "━ ↓ 7 ━┛" in screen_text(pilot)
        await press(pilot, "ctrl+down")
        assert "━ ↑ 6 ↓ 1 ━┛" in screen_text(pilot)
        await press(pilot, "ctrl+down")
        assert "━ ↑ 7 ━┛" in screen_text(pilot)
        await press(pilot, "f5")
        await press(pilot, "3")
        assert not re.search(r"[↑↓] ?\d* ━┛", screen_text(pilot)), "everything is in sight"


async def test_the_panels_of_a_hit_are_in_the_language_of_the_screen() -> None:
    async with lab_app(language="zh") as pilot:
        text = screen_text(pilot)
        assert "cc（原 55）" in text and "init/1 ─ 内核" in text
        for english in (" was ", "(was", " also ", " at ", " from "):
            assert english not in text, english
        await press(pilot, "f3")
        assert "cc (was 55)" in screen_text(pilot) and "init/1 ─ kernel" in screen_text(pilot)


async def test_f2_shows_and_hides_the_text_at_both_sizes() -> None:
    async with lab_app(LARGE, Demo(text=TEXT)) as pilot:
        assert "Read this first." in screen_text(pilot)
        assert "1 code" in screen_text(pilot)
        await press(pilot, "f2")
        assert "Read this first." not in screen_text(pilot)
        await pilot.resize_terminal(*SMALL)
        await press(pilot, "f2")
        assert "Read this first." in screen_text(pilot)
        assert "1 code" not in screen_text(pilot)
        await press(pilot, "1")
        assert "1 code" in screen_text(pilot)


async def test_chinese_prose_fills_its_lines_also_where_english_words_stand_in_it() -> None:
    prose = "程序按 pid 统计一次又一次的读取操作所以这一句话相当长一行是放不下的，还要再往下写几个字才行。"
    async with lab_app(LARGE, Demo(text=prose), "zh") as pilot:
        line = next(line for line in screen_lines(pilot) if "程序按 pid" in line)
        assert "程序按 pid 统计一次又一次的读取操" in line


async def test_f2_says_so_where_there_is_no_text() -> None:
    async with lab_app() as pilot:
        await press(pilot, "f2")
        await wait_until(pilot, lambda: "There is no text" in screen_text(pilot))


@pytest.mark.parametrize(("language", "word"), [("en", "Run to the next hit"), ("zh", "运行到下一次命中")])
async def test_f1_explains_the_selected_panel_and_lists_every_key(language: Language, word: str) -> None:
    async with lab_app(language=language) as pilot:
        await press(pilot, "3", "f1")
        assert front(pilot) is HelpScreen
        await pilot.pause(0.1)
        text = screen_text(pilot)
        assert "current_kprobe" in text
        assert word in text
        await press(pilot, "escape")
        assert front(pilot) is LabScreen


async def test_the_palette_finds_actions_in_both_languages_and_runs_them() -> None:
    async with lab_app() as pilot:
        start = now(pilot).moment
        await press(pilot, "ctrl+p")
        await pilot.pause(0.2)
        assert "What would you like to do?" in screen_text(pilot)
        await press(pilot, *"回到开头")
        await wait_until(pilot, lambda: "To the start" in screen_text(pilot))
        await pilot.press("down", "enter")
        await wait_until(pilot, lambda: now(pilot).moment < start)


async def test_the_start_screen_lists_scenarios_and_opens_one() -> None:
    demos = [Demo(text=TEXT), Demo(open_plain, title=("An empty kernel", "空的内核"))]
    app = KprobesimApp(None, "en", scenarios=lambda: demos)
    async with app.run_test(size=SMALL) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, StartScreen))
        text = screen_text(pilot)
        assert "Counting reads" in text and "Read this first." in text and "An empty kernel" in text
        await pilot.press("f3")
        await pilot.pause()
        assert "空的内核" in screen_text(pilot)
        await pilot.press("f3", "down", "enter")
        await wait_until(pilot, lambda: isinstance(app.screen, LabScreen))
        screen = lab_screen(pilot)
        await wait_until(pilot, lambda: screen.snapshot is not None)
        assert "An empty k" in screen_text(pilot)
        assert "No probe is registered." in screen_text(pilot)
        await pilot.press("f10")
        await wait_until(pilot, lambda: isinstance(app.screen, StartScreen))


async def test_the_key_line_can_be_clicked() -> None:
    async with lab_app() as pilot:
        before = now(pilot).moment
        await pilot.click(offset=(2, 35))
        await settle(pilot)
        assert now(pilot).moment > before
