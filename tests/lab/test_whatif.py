"""Two lives that were one: what is changed, where they part, and that the asked lab stays as it is."""

import pytest

from kprobesim.errors import BadInput, GuestError
from kprobesim.i18n import LANGUAGES
from kprobesim.kprobes import FixUp
from kprobesim.lab import Lab, Moment, Profile
from kprobesim.lab.parting import first_difference, memory_side_by_side, side_by_side
from kprobesim.lab.recording import capture, replay
from kprobesim.lab.whatif import ByteChange, FixUpOff, ProfileChange, RegisterChange, WhatIf, what_if
from kprobesim.machine import MemoryFault
from tests.lab.experiment import only, rested, rich, state_of


def probed(*places: str, command: str = "cat /etc/motd") -> Lab:
    lab = rested()
    lab.start = lab.moment.insn
    for place in places:
        lab.kprobe(place)
    lab.type(command)
    lab.run()
    return lab


def parted(tried: WhatIf) -> tuple[str, str]:
    assert tried.parting is not None
    assert tried.parting.left is not None
    assert tried.parting.right is not None
    return tried.parting.left.kind, tried.parting.right.kind


def test_the_lab_that_is_asked_about_stays_as_it_is() -> None:
    lab = rich()
    lab.seek(only(lab, "kprobe.hit")[0])
    before = state_of(lab)
    what_if(lab, RegisterChange("rax", 1))
    assert state_of(lab) == before


def test_another_byte_under_the_path_of_the_cpu_changes_the_path() -> None:
    lab = probed()
    lab.seek(lab.start)
    entry = lab.address_of("vfs_read")
    tried = what_if(lab, ByteChange(entry, b"\x0f\x0b"), Moment(lab.start))
    assert parted(tried)[1] == "trap"
    assert tried.path is not None
    tried.go_to_parting()
    assert tried.parting is not None and tried.parting.right is not None
    assert tried.parting.right.fields["vector"] == 6
    assert side_by_side(tried.before, tried.after)
    assert any(stretch.place == "vfs_read+0x0" for stretch in memory_side_by_side(tried.before, tried.after))


def test_another_register_at_the_entry_of_a_system_call_changes_its_result() -> None:
    lab = probed("vfs_read")
    hit = only(lab, "kprobe.hit")[0]
    lab.seek(hit)
    lab.run(to="vfs_read+0x1")
    tried = what_if(lab, RegisterChange("rdx", 3))
    tried.go_to_fork()
    assert tried.before.moment.insn == tried.after.moment.insn == tried.fork.insn
    (difference,) = side_by_side(tried.before, tried.after)
    assert (difference.name, difference.right) == ("rdx", 3)
    assert tried.parting is not None
    assert len(only(tried.after, "kprobe.hit")) > len(only(tried.before, "kprobe.hit"))


def test_a_byte_that_nobody_looks_at_changes_nothing() -> None:
    lab = probed()
    tried = what_if(lab, ByteChange(lab.address_of("vfs_read"), lab.read(lab.address_of("vfs_read"), 1)))
    assert (tried.parting, tried.path, tried.ended) == (None, None, ("", ""))
    assert len(tried.tell("en")) == 2


def test_without_relocation_the_copy_reads_other_memory() -> None:
    """The displacement of the copy is that of the original."""
    lab = rested()
    start = lab.address_of("dup_task_struct")
    where = next(line.address for line in lab.code(start) if "(%rip)" in line.text and "%gs:" not in line.text)
    lab.start = lab.moment.insn
    lab.kprobe(f"{where:#x}")
    lab.type("cat /etc/motd")
    lab.run()
    tried = what_if(lab, FixUpOff(FixUp.RIP_RELATIVE))
    assert parted(tried) == ("kprobe.prepare", "kprobe.prepare")
    assert tried.parting is not None and tried.parting.fields == ("copy",)
    assert tried.ended[0] == ""
    assert tried.ended[1]


def test_without_the_correction_of_ip_the_function_goes_on_in_the_slot() -> None:
    tried = what_if(probed("vfs_read"), FixUpOff(FixUp.RESUME_IP))
    assert parted(tried) == ("kprobe.resume", "kprobe.resume")
    assert "panicked" in tried.ended[1]


def test_without_the_reentry_check_the_outer_step_is_lost() -> None:
    lab = rested()
    lab.start = lab.moment.insn
    lab.set_bpf_jit(1)
    lab.load_program("call bpf_get_current_pid_tgid\nr0 = 0\nexit", "asks")
    lab.attach("asks", "vfs_read")
    lab.kprobe("bpf_get_current_pid_tgid")
    lab.type("cat /etc/motd")
    lab.run()
    tried = what_if(lab, FixUpOff(FixUp.REENTRY))
    assert parted(tried) == ("kprobe.miss", "kprobe.hit")
    assert tried.ended[1]


def test_without_the_saved_interrupt_flag_the_function_goes_on_with_interrupts_off() -> None:
    lab = probed("vfs_read")
    tried = what_if(lab, FixUpOff(FixUp.RESTORE_IF))
    seen = []
    for one in (tried.before, tried.after):
        one.seek(only(one, "kprobe.resume")[0])
        one.run(to="vfs_read+0x1")
        seen.append(bool(one.registers()["rflags"] & 1 << 9))
    assert seen == [True, False]


@pytest.mark.parametrize("profile", [profile for profile in Profile if profile is not Profile.BARE])
def test_on_another_profile_the_same_is_done_again_where_the_machine_waits(profile: Profile) -> None:
    lab = probed("vfs_read")
    tried = what_if(lab, ProfileChange(profile))
    assert tried.after.profile is profile
    assert tried.after.console.splitlines()[-1] == tried.before.console.splitlines()[-1]
    assert len(only(tried.after, "kprobe.hit")) == len(only(tried.before, "kprobe.hit"))
    assert tried.parting is not None


def test_later_inputs_are_done_again_in_the_changed_life() -> None:
    lab = probed("vfs_read")
    middle = only(lab, "kprobe.hit")[0].moment
    lab.type("echo later")
    lab.run()
    tried = what_if(lab, RegisterChange("r15", 0x1234), middle)
    assert "later" in tried.after.console.splitlines()[-1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_story_is_told_in_both_languages(language: str) -> None:
    lab = probed("vfs_read")
    for change in (
        *(FixUpOff(fixup) for fixup in FixUp),
        ProfileChange(Profile.DISTRO),
        RegisterChange("rip", 0x10),
        ByteChange(lab.address_of("vfs_read"), b"\x90"),
    ):
        lines = what_if(lab, change, Moment(lab.start)).tell(language)  # type: ignore[arg-type]
        assert len(lines) >= 2
        assert not any("{" in line for line in lines)
        assert (any("一" <= character <= "鿿" for character in lines[0])) == (language == "zh")


def test_what_makes_no_sense_is_refused() -> None:
    lab = probed()
    for change, error in (
        (RegisterChange("cr3", 1), BadInput),
        (RegisterChange("rax", 1, cpu=3), BadInput),
        (ByteChange(0x10, b"x"), MemoryFault),
        (ByteChange(lab.address_of("vfs_read"), b""), BadInput),
        (ProfileChange(Profile.BARE), BadInput),
    ):
        with pytest.raises(error):
            what_if(lab, change)
    with pytest.raises(BadInput, match="not part of this life"):
        what_if(lab, RegisterChange("rax", 1), Moment(1 << 50))


def test_a_life_that_ended_badly_can_be_asked_about() -> None:
    lab = rested()
    lab.start = lab.moment.insn
    lab.poke(lab.address_of("vfs_read"), b"\x0f\x0b")
    lab.type("cat /etc/motd")
    with pytest.raises(GuestError):
        lab.run()
    tried = what_if(lab, RegisterChange("r15", 1), Moment(lab.start))
    assert tried.ended[0] and tried.ended[1]


# Comparing


def test_a_life_does_not_part_from_itself() -> None:
    lab = rich()
    again = replay(capture(lab))
    assert first_difference(lab, again) is None
    assert (side_by_side(lab, again), memory_side_by_side(lab, again)) == ((), ())


def test_the_first_event_that_differs_is_found_and_a_shorter_life_parts_at_its_end() -> None:
    one, other, longer = probed(), probed(command="cat /home/notes.txt"), probed()
    longer.type("true")
    longer.run()
    parting = first_difference(one, other)
    assert parting is not None and parting.fields == ("text",)
    parting = first_difference(one, longer)
    assert parting is not None
    assert (parting.common, parting.left) == (one.event_count, None)


def test_differing_stretches_of_memory_are_joined_named_and_bounded() -> None:
    one, other = rested(), rested()
    place = one.address_of("init_task")
    old = one.read(place, 4)
    other.poke(place, bytes(byte ^ 0xFF for byte in old))
    (stretch,) = memory_side_by_side(one, other)
    assert (stretch.address, stretch.place, stretch.left) == (place, "init_task+0x0", old)
    assert memory_side_by_side(one, other, 0) == ()
