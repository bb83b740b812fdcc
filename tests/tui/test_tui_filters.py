"""A classic filter in the BPF panel: the kernel runs its machine code without telling anybody."""

import re

from kprobesim.lab import Lab
from tests.tui.rig import LARGE, Demo, lab_app, now, open_plain, press, screen_text

LINE = "udpcat -k a -c 3 apple"


def open_compiled() -> Lab:
    """In front of the first x86 instruction of a socket filter."""
    lab = open_plain()
    lab.set_bpf_jit(1)
    lab.type(LINE)
    lab.run(until=["filter.load"])
    entry = lab.last_event.fields["jited"]  # type: ignore[union-attr]
    lab.run(to=entry)
    assert lab.registers()["rip"] == entry
    return lab


async def test_the_panel_shows_a_compiled_filter_while_the_cpu_is_in_it() -> None:
    async with lab_app(LARGE, Demo(open_compiled)) as pilot:
        await press(pilot, "5")
        text = screen_text(pilot)
        assert "5 BPF ─ socket filter ─ JIT ─ running" in text and "prologue" in text
        assert re.search(r"R2 +0 ", text), "there is no frame yet that 0 could be a place in"
        program = now(pilot).program
        assert program is not None and program.running is not None
        await press(pilot, "8", "5", "down", "down")
        places = []
        for _ in range(100):
            await press(pilot, "right")
            if (shown := now(pilot).program) is None or shown.running is None:
                break
            places.append(shown.running.pc)
        assert places[0] == 0 and len(set(places)) > 10, "from one of its instructions to the next"
        assert len(places) < 100, "it returns"


def test_afterwards_it_is_none_and_back_in_time_it_is_the_same() -> None:
    lab = open_compiled()
    inside, entry = lab.bpf_view(), lab.moment
    assert inside is not None and inside.jited is not None
    assert (inside.program.name, inside.pc, len(inside.stack)) == ("socket filter", 0, 0)
    lab.run(until=["socket.verdict"])
    assert lab.bpf_view() is None
    lab.seek(entry)
    assert lab.bpf_view() == inside
