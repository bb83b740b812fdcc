"""Static branches: nops and jumps in the kernel's code, and the keys that turn one into the other."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.errors import GuestError, LinuxError
from kprobesim.image import JumpEntry
from kprobesim.kprobes import INT3, JumpLabels, Kprobe
from kprobesim.linux_errno import Errno
from tests.kprobes.running import Running

NOP5 = bytes.fromhex("0f1f440000")


def key_of(toyix: Running, tracepoint: str) -> int:
    """Address of a tracepoint's static key, behind the pointer to its name."""
    return toyix.symbol(f"__tracepoint_{tracepoint}") + 8


def text_at(toyix: Running, entry: JumpEntry) -> bytes:
    return toyix.kernel.read(entry.code, 5)


def jump(entry: JumpEntry) -> bytes:
    return b"\xe9" + (entry.target - entry.code - 5).to_bytes(4, "little", signed=True)


def test_every_static_branch_is_a_nop_at_boot(toyix: Running) -> None:
    table = toyix.kernel.tables.jump_table
    assert len(table) >= len(toyix.kprobes.jump_labels.sites(key_of(toyix, "sys_enter"))) + 20
    assert {text_at(toyix, entry) for entry in table} == {NOP5}
    assert not any(entry.branch for entry in table)
    assert all(toyix.kernel.tables.is_text(entry.code) and toyix.kernel.tables.is_text(entry.target) for entry in table)


def test_turning_a_key_patches_all_of_its_sites_and_no_other(toyix: Running) -> None:
    labels, key, before = toyix.kprobes.jump_labels, key_of(toyix, "sched_switch"), toyix.text()
    sites = labels.sites(key)
    toyix.timeline.input("on", lambda: labels.static_key_slow_inc(key))
    assert sites and all(text_at(toyix, entry) == jump(entry) for entry in sites)
    differing = sum(a != b for a, b in zip(toyix.text(), before, strict=True))
    assert 0 < differing <= 5 * len(sites)
    assert labels.static_key_count(key) == 1
    toyix.timeline.input("off", lambda: labels.static_key_slow_dec(key))
    assert toyix.text() == before
    assert [event.kind for event in toyix.events("static_key.enable", "static_key.disable")] == [
        "static_key.enable",
        "static_key.disable",
    ]


def test_only_the_first_and_the_last_of_several_listeners_change_code(toyix: Running) -> None:
    labels, key = toyix.kprobes.jump_labels, key_of(toyix, "sys_enter")
    pokes = []
    for turn in (labels.static_key_slow_inc, labels.static_key_slow_inc, labels.static_key_slow_dec):
        toyix.timeline.input("turn", partial(turn, key))
        pokes.append(len(toyix.events("text.poke")))
    assert pokes == [3, 3, 3]  # the stages of one patch
    assert labels.static_key_count(key) == 1
    toyix.timeline.input("off", lambda: labels.static_key_slow_dec(key))
    assert len(toyix.events("text.poke")) == 6


@pytest.mark.parametrize("offset", range(5))
def test_no_probe_is_accepted_on_any_byte_of_a_static_branch(toyix: Running, offset: int) -> None:
    """REG-07: ranges, not only first bytes, and whether the branch is on or off."""
    entry = next(e for e in toyix.kernel.tables.jump_table if e.key == key_of(toyix, "sched_waking"))
    for on in (False, True):
        if on:
            toyix.timeline.input("on", lambda: toyix.kprobes.jump_labels.static_key_slow_inc(entry.key))
        with pytest.raises(LinuxError) as caught:
            toyix.register(Kprobe(address=entry.code + offset))
        assert caught.value.errno is Errno.EINVAL
        assert "static branch" in str(caught.value)


def test_the_instruction_behind_a_static_branch_can_be_probed(toyix: Running) -> None:
    """REG-07"""
    entry = next(e for e in toyix.kernel.tables.jump_table if e.key == key_of(toyix, "sched_waking"))
    assert toyix.kprobes.is_armed(toyix.register(Kprobe(address=entry.code + 5)))


def test_a_function_whose_static_branch_is_being_patched_can_be_probed(boot_toyix: Callable[..., Running]) -> None:
    """REG-13: whoever decodes the function never sees the int3 of the patch, as Linux holds text_mutex."""
    running = boot_toyix(cpus=2)
    entry = next(e for e in running.kernel.tables.jump_table if e.key == key_of(running, "sched_waking"))
    running.timeline.input("on", lambda: running.kprobes.jump_labels.static_key_slow_inc(entry.key))
    assert running.manager.text.busy and running.byte(entry.code) == INT3
    assert running.kprobes.is_armed(running.register(Kprobe(address=entry.code + 5)))


def test_a_site_whose_code_was_changed_by_somebody_else_is_not_patched(toyix: Running) -> None:
    labels, key = toyix.kprobes.jump_labels, key_of(toyix, "sys_enter")
    site = labels.sites(key)[0]
    toyix.machine.text_poke(site.code, b"\x90", symbol="do_syscall_64")
    with pytest.raises(GuestError, match="unexpected op"):
        labels.static_key_slow_inc(key)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=12))
def test_the_code_says_at_all_times_what_the_keys_count(steps: list[tuple[int, bool]]) -> None:
    toyix = shared()
    labels: JumpLabels = toyix.kprobes.jump_labels
    keys = sorted({entry.key for entry in toyix.kernel.tables.jump_table})[:6]
    counts = dict.fromkeys(keys, 0)
    for number, up in steps:
        key = keys[number]
        if not up and not counts[key]:
            continue
        (labels.static_key_slow_inc if up else labels.static_key_slow_dec)(key)
        counts[key] += 1 if up else -1
        for each, count in counts.items():
            for entry in labels.sites(each):
                assert text_at(toyix, entry) == (jump(entry) if count else NOP5)
    for key, count in counts.items():
        for _ in range(count):
            labels.static_key_slow_dec(key)


_SHARED: list[Running] = []


def shared() -> Running:
    from kprobesim.image import open_image

    if not _SHARED:
        _SHARED.append(Running(open_image("toyix")))
    return _SHARED[0]
