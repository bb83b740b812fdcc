"""Registering and removing probes: what is accepted, what is refused and with which errno, and the bytes in memory."""

import pytest

from kprobesim.errors import LinuxError
from kprobesim.image import decode_one
from kprobesim.kprobes import INT3, MODULES_VADDR, Kprobe, KprobeFlag
from kprobesim.linux_errno import Errno
from kprobesim.machine import Moment
from tests.guests.kernel import HandMadeKernel
from tests.kprobes.running import Running, Spy


def refusal(running: Running, probe: Kprobe) -> LinuxError:
    """Why a probe is refused; nothing may have changed."""
    text, used, known = running.text(), running.kprobes.slots.used, list(running.kprobes)
    with pytest.raises(LinuxError) as caught:
        running.kprobes.register_kprobe(probe)
    assert (running.text(), running.kprobes.slots.used, list(running.kprobes)) == (text, used, known)
    return caught.value


def hand_made() -> Running:
    """``probed`` loads a variable relative to RIP; functions of every sort that cannot be probed follow."""
    kernel = HandMadeKernel()
    kernel.code.op("hlt")
    kernel.function("probed").op("nop").raw("488b0500000000").op("inc %rax", "ret")  # mov 0(%rip),%rax
    kernel.function("hidden").op("nop", "inc %rax", "ret")
    kernel.nokprobe("hidden")
    kernel.function("hidden.isra.0").op("nop", "ret")
    kernel.function("with_bug").op("nop").label("bug").op("ud2", "ret")
    kernel.bug("bug")
    return Running(kernel.image(), ram_size=2 << 20)


# Where


def test_a_probe_needs_a_symbol_or_an_address_but_not_both(tiny: Running) -> None:
    """REG-01."""
    address = tiny.symbol("tiny_add")
    assert refusal(tiny, Kprobe()).errno is Errno.EINVAL
    assert refusal(tiny, Kprobe(symbol_name="tiny_add", address=address)).errno is Errno.EINVAL


def test_an_unknown_symbol_is_refused_with_names_that_are_near(tiny: Running) -> None:
    """REG-01."""
    error = refusal(tiny, Kprobe(symbol_name="tiny_ad"))
    assert error.errno is Errno.ENOENT
    assert "Did you mean tiny_add" in error.hint


def test_an_address_outside_every_symbol_is_refused(tiny: Running) -> None:
    """REG-01."""
    assert refusal(tiny, Kprobe(address=0x1000)).errno is Errno.ENOENT


def test_an_offset_past_the_symbols_end_is_a_probe_in_the_next_symbol(tiny: Running) -> None:
    """REG-01: base and offset are resolved again."""
    distance = tiny.symbol("put_byte") - tiny.symbol("tiny_add")
    probe = tiny.register(Kprobe(symbol_name="tiny_add", offset=distance))
    assert probe.addr == tiny.symbol("put_byte")
    assert tiny.events("kprobe.register")[0].fields["symbol"] == "put_byte"
    assert probe.flags & KprobeFlag.ON_FUNC_ENTRY


def test_a_probe_by_address_is_the_same_as_by_name(tiny: Running) -> None:
    """REG-01, REG-02: without endbr64 only offset 0 is the entry."""
    entry = tiny.register(Kprobe(address=tiny.symbol("tiny_add")))
    inside = tiny.register(Kprobe(symbol_name="tiny_add", offset=1))
    assert entry.flags & KprobeFlag.ON_FUNC_ENTRY
    assert not inside.flags & KprobeFlag.ON_FUNC_ENTRY


def test_registering_twice_is_refused(tiny: Running) -> None:
    """REG-03."""
    probe = tiny.register(Kprobe(symbol_name="tiny_add"))
    assert refusal(tiny, probe).errno is Errno.EINVAL
    assert probe.addr == tiny.symbol("tiny_add")


def test_the_callers_flags_and_misses_are_reset(tiny: Running) -> None:
    """REG-04."""
    probe = Kprobe(symbol_name="tiny_add", offset=1)
    probe.flags, probe.nmissed = KprobeFlag.GONE | KprobeFlag.OPTIMIZED, 7
    tiny.register(probe)
    assert (probe.flags, probe.nmissed) == (KprobeFlag(0), 0)


def test_data_cannot_be_probed(toyix: Running) -> None:
    """REG-06."""
    assert refusal(toyix, Kprobe(symbol_name="init_task")).errno is Errno.EINVAL
    assert refusal(hand_made(), Kprobe(symbol_name="counter")).errno is Errno.EINVAL


@pytest.mark.parametrize(
    ("symbol", "reason"),
    [
        ("hidden", "NOKPROBE_SYMBOL"),
        ("hidden.isra.0", "NOKPROBE_SYMBOL"),
        ("asm_exc_int3", ".entry.text"),
        ("exc_int3", ".noinstr.text"),
        ("kprobe_int3_handler", ".kprobes.text"),
    ],
)
@pytest.mark.parametrize("offset", [0, 1])
def test_a_blacklisted_function_cannot_be_probed_anywhere(symbol: str, reason: str, offset: int) -> None:
    """REG-07, REG-08, REG-09: each source of the blacklist, and a clone of a listed function."""
    error = refusal(hand_made(), Kprobe(symbol_name=symbol, offset=offset))
    assert error.errno is Errno.EINVAL
    assert reason in error.message


@pytest.mark.parametrize(
    "symbol", ["asm_exc_int3", "exc_int3", "kprobe_int3_handler", "asm_exc_page_fault", "rethook_trampoline_handler"]
)
def test_toyix_keeps_probes_out_of_its_own_trap_path(toyix: Running, symbol: str) -> None:
    """REG-08."""
    assert refusal(toyix, Kprobe(symbol_name=symbol)).errno is Errno.EINVAL


def test_the_trap_of_a_bug_cannot_be_probed_but_its_neighbours_can() -> None:
    """REG-07."""
    running = hand_made()
    assert refusal(running, Kprobe(symbol_name="with_bug", offset=1)).errno is Errno.EINVAL
    running.register(Kprobe(symbol_name="with_bug"))
    running.register(Kprobe(symbol_name="with_bug", offset=3))


@pytest.mark.parametrize("offset", [2, 3, 6, 7])
def test_the_middle_of_an_instruction_is_refused_with_the_place_where_it_begins(tiny: Running, offset: int) -> None:
    """REG-13: tiny_add is push (1), mov (3), lea (4), pop (1), ret (1)."""
    error = refusal(tiny, Kprobe(symbol_name="tiny_add", offset=offset))
    assert error.errno is Errno.EILSEQ
    assert f"tiny_add+{1 if offset < 4 else 4:#x}" in error.hint


def test_boundaries_are_those_of_the_unprobed_code(tiny: Running) -> None:
    """REG-13: an int3 in the same function does not move them."""
    for offset in (4, 0, 1):
        tiny.register(Kprobe(symbol_name="tiny_add", offset=offset))
    for offset in (2, 3, 5, 6, 7):
        assert refusal(tiny, Kprobe(symbol_name="tiny_add", offset=offset)).errno is Errno.EILSEQ
    for offset in (8, 9):
        tiny.register(Kprobe(symbol_name="tiny_add", offset=offset))


def test_a_kernel_without_its_own_page_tables_yet_has_no_room_for_slots() -> None:
    """REG-14: the module area is the kernel's to map."""
    running = hand_made()
    running.timeline.seek(Moment(0))
    error = refusal(running, Kprobe(symbol_name="probed"))
    assert error.errno is Errno.ENOMEM
    assert "boot" in error.hint


def test_a_kernel_cannot_claim_more_module_pages_than_there_is_memory() -> None:
    running = hand_made()
    running.kernel.write(running.symbol("module_area_pages"), b"\xff\xff\xff\xff")
    assert running.kernel.modules.pages == 512


# Slots


def test_slots_are_15_bytes_in_a_page_of_the_module_area_that_kallsyms_names(toyix: Running) -> None:
    """REG-14."""
    probes = [toyix.register(Kprobe(symbol_name=name)) for name in ("vfs_read", "vfs_write", "ksys_read")]
    slots = [probe.ainsn.insn for probe in probes if probe.ainsn]
    assert slots == [MODULES_VADDR, MODULES_VADDR + 15, MODULES_VADDR + 30]
    assert str(toyix.kernel.kallsyms.symbolize(slots[1])).startswith("kprobe_insn_page+0xf")


def test_a_slot_is_given_out_again_and_full_pages_end_in_enomem() -> None:
    """REG-14: 273 to a page; the hand-made kernel has four pages."""
    running = hand_made()
    slots = running.kprobes.slots
    given = [slots.get() for _ in range(4 * 273)]
    assert len(set(given)) == 4 * 273
    assert {place % 4096 for place in given[:2]} == {0, 15}
    assert refusal(running, Kprobe(symbol_name="probed")).errno is Errno.ENOMEM
    slots.free(given[500])
    assert slots.get() == given[500]


def test_the_slot_holds_the_instruction_and_an_int3(tiny: Running) -> None:
    """REG-15, REG-18; of an emulated instruction too."""
    for offset, code in ((1, "4889e5"), (9, "c3")):
        probe = tiny.register(Kprobe(symbol_name="tiny_add", offset=offset))
        assert probe.ainsn is not None
        assert tiny.kernel.read(probe.ainsn.insn, len(code) // 2 + 1) == bytes.fromhex(code) + b"\xcc"


def test_a_rip_relative_operand_reaches_the_same_memory_from_the_slot() -> None:
    """REG-16: only the displacement differs."""
    running = hand_made()
    place = running.symbol("probed") + 1
    probe = running.register(Kprobe(symbol_name="probed", offset=1))
    assert probe.ainsn is not None
    copy, original = decode_one(probe.ainsn.copy[:7], probe.ainsn.insn), decode_one(probe.ainsn.original, place)
    assert probe.ainsn.insn + 7 + copy.displacement == place + 7 + original.displacement  # type: ignore[union-attr]
    assert probe.ainsn.copy[:3] == probe.ainsn.original[:3]


# Bytes


def test_an_armed_probe_changes_one_byte_and_removal_puts_it_back(tiny: Running) -> None:
    """TXT-01, TXT-02, REG-20, REG-23."""
    before = tiny.text()
    probe = tiny.register(Kprobe(symbol_name="tiny_add", offset=1))
    armed = tiny.text()
    changed = [place for place, (old, new) in enumerate(zip(before, armed, strict=True)) if old != new]
    assert len(changed) == 1
    assert armed[changed[0]] == INT3
    poke = tiny.events("text.poke")[0]
    assert (poke.fields["addr"], poke.fields["old"], poke.fields["new"]) == (probe.addr, b"\x48", b"\xcc")
    tiny.unregister(probe)
    assert tiny.text() == before
    assert tiny.kprobes.slots.used == 0
    assert probe.addr is None


def test_the_guest_cannot_write_its_own_code_but_a_poke_can(toyix: Running) -> None:
    """TXT-03."""
    address = toyix.symbol("vfs_read")
    assert not toyix.machine.ram.page_entry(toyix.kernel.root, address).writable
    toyix.register(Kprobe(symbol_name="vfs_read"))
    assert toyix.byte(address) == INT3


def test_a_disabled_probe_is_registered_unarmed(tiny: Running) -> None:
    """REG-20."""
    before = tiny.text()
    probe = tiny.register(Kprobe(symbol_name="tiny_add", disabled=True))
    assert tiny.text() == before
    tiny.timeline.input("enable", lambda: tiny.kprobes.enable_kprobe(probe))
    assert tiny.kprobes.is_armed(probe)
    tiny.timeline.input("disable", lambda: tiny.kprobes.disable_kprobe(probe))
    assert tiny.text() == before
    assert probe.is_disabled


def test_enabling_what_is_not_registered_or_gone_is_refused(tiny: Running) -> None:
    """REG-24."""
    probe = Kprobe(symbol_name="tiny_add")
    for change in (tiny.kprobes.enable_kprobe, tiny.kprobes.disable_kprobe):
        with pytest.raises(LinuxError) as caught:
            change(probe)
        assert caught.value.errno is Errno.EINVAL
    tiny.register(probe)
    probe.flags |= KprobeFlag.GONE
    with pytest.raises(LinuxError) as caught:
        tiny.kprobes.enable_kprobe(probe)
    assert caught.value.errno is Errno.EINVAL


def test_several_are_registered_all_or_none(tiny: Running) -> None:
    """REG-22."""
    probes = [Kprobe(symbol_name="tiny_add"), Kprobe(symbol_name="put_byte"), Kprobe(symbol_name="nowhere")]
    before = tiny.text()
    with pytest.raises(LinuxError) as caught:
        tiny.timeline.input("register", lambda: tiny.kprobes.register_kprobes(probes))
    assert caught.value.errno is Errno.ENOENT
    assert tiny.text() == before
    assert all(probe.addr is None for probe in probes)


def test_removal_disarms_all_before_any_slot_is_free(tiny: Running) -> None:
    """REG-23; a probe that is not registered is left alone."""
    probes = [tiny.register(Kprobe(symbol_name="tiny_add", offset=offset)) for offset in (0, 1)]
    tiny.unregister(*probes, Kprobe(symbol_name="put_byte"))
    assert len(tiny.events("kprobe.unregister")) == 2
    assert tiny.kprobes.slots.used == 0


def test_the_global_switch_disarms_without_touching_the_probes_flags(tiny: Running) -> None:
    """REG-25."""
    before = tiny.text()
    probe = tiny.register(Kprobe(symbol_name="tiny_add"))
    off = tiny.register(Kprobe(symbol_name="put_byte", disabled=True))
    tiny.timeline.input("off", lambda: tiny.kprobes.arm_all_kprobes(False))
    assert tiny.text() == before
    assert not probe.is_disabled
    late = tiny.register(Kprobe(symbol_name="pause"))
    assert tiny.text() == before
    tiny.timeline.input("on", lambda: tiny.kprobes.arm_all_kprobes(True))
    assert [tiny.kprobes.is_armed(each) for each in (probe, off, late)] == [True, False, True]


# Several at one address


def test_two_probes_at_one_address_share_slot_byte_and_int3(tiny: Running) -> None:
    """AGG-01, REG-11."""
    first = tiny.register(Kprobe(symbol_name="tiny_add"))
    second = tiny.register(Kprobe(symbol_name="tiny_add"))
    assert len(tiny.events("text.poke")) == 1
    assert first.ainsn is second.ainsn
    assert tiny.kprobes.slots.used == 1
    assert second.opcode == 0x55
    assert list(tiny.kprobes) == [second, first]
    tiny.unregister(first)
    assert tiny.byte(second.addr or 0) == INT3
    tiny.unregister(second)
    assert tiny.byte(tiny.symbol("tiny_add")) == 0x55
    assert tiny.kprobes.slots.used == 0


def test_handlers_run_the_latest_first_and_all_post_handlers_run(tiny: Running) -> None:
    """AGG-02, AGG-04."""
    spy = Spy()
    for name in ("a", "b", "c"):
        tiny.register(Kprobe(symbol_name="tiny_add", pre_handler=spy.pre(name), post_handler=spy.post(name + "'")))
    tiny.run()
    assert spy.names[:6] == ["c", "b", "a", "c'", "b'", "a'"]


def test_the_first_non_zero_answer_ends_the_chain(tiny: Running) -> None:
    """AGG-03: nothing is stepped, no post_handler runs, ip is the handler's."""
    spy = Spy()
    after = tiny.symbol("tiny_add") + 1
    for probe in (
        Kprobe(symbol_name="tiny_add", pre_handler=spy.pre("never")),
        Kprobe(symbol_name="tiny_add", pre_handler=spy.pre("decides", 1, ip=after), post_handler=spy.post()),
        Kprobe(symbol_name="tiny_add", pre_handler=spy.pre("first")),
    ):
        tiny.register(probe)
    tiny.timeline.run(stop_kinds=["kprobe.pre_handler"])
    assert spy.names == ["first", "decides"]
    tiny.timeline.run(tiny.machine.retired + 1)
    assert "kprobe.singlestep" not in tiny.kinds()


def test_a_disabled_child_is_silent_and_the_last_one_disarms_the_site(tiny: Running) -> None:
    """REG-24, AGG-03."""
    spy = Spy()
    a = tiny.register(Kprobe(symbol_name="tiny_add", pre_handler=spy.pre("a")))
    b = tiny.register(Kprobe(symbol_name="tiny_add", pre_handler=spy.pre("b")))
    tiny.timeline.input("disable", lambda: tiny.kprobes.disable_kprobe(a))
    assert tiny.byte(a.addr or 0) == INT3
    tiny.run()
    assert set(spy.names) == {"b"}
    assert tiny.console() == "0123456789\n"
    tiny.timeline.seek(tiny.events("input")[-1].moment)
    tiny.timeline.input("disable b too", lambda: tiny.kprobes.disable_kprobe(b))
    assert tiny.byte(tiny.symbol("tiny_add")) == 0x55
    tiny.timeline.input("enable a", lambda: tiny.kprobes.enable_kprobe(a))
    assert tiny.byte(tiny.symbol("tiny_add")) == INT3
    assert b.is_disabled
    assert not a.is_disabled


def test_an_enabled_probe_arms_a_site_that_was_disabled(tiny: Running) -> None:
    """AGG-01, REG-24."""
    tiny.register(Kprobe(symbol_name="tiny_add", disabled=True))
    assert tiny.byte(tiny.symbol("tiny_add")) == 0x55
    tiny.register(Kprobe(symbol_name="tiny_add"))
    assert tiny.byte(tiny.symbol("tiny_add")) == INT3


# Going back


def test_going_back_makes_a_probe_unregistered_and_forwards_registers_it_again(tiny: Running) -> None:
    before = tiny.kprobes.save()
    start = tiny.machine.retired
    probe = tiny.register(Kprobe(symbol_name="tiny_add"))
    tiny.run()
    end = tiny.kprobes.save()
    tiny.timeline.seek(Moment(start))
    assert probe.addr is None
    assert list(tiny.kprobes) == []
    assert tiny.kprobes.save() == before
    tiny.timeline.seek_end()
    assert tiny.kprobes.save() == end
    assert list(tiny.kprobes) == [probe]
