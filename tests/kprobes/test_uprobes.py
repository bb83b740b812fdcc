"""Breakpoints in programs: where they are put, what a hit does, how returns are caught, and who inherits what."""

from functools import partial

import pytest

from kprobesim.errors import LinuxError
from kprobesim.kprobes import PtRegs
from kprobesim.kprobes.uprobes import GuestFile, Uprobe, UprobeConsumer
from kprobesim.kprobes.uprobes.arch import Fixup, analyze_insn
from kprobesim.lab import Lab
from kprobesim.linux_errno import Errno
from tests.kprobes.programs import Program
from tests.lab.experiment import only, state_of


def rested(cpus: int = 1) -> Lab:
    lab = Lab.open(cpus=cpus)
    lab.run()
    return lab


class Listener:
    """A consumer that notes its hits and returns."""

    def __init__(self, lab: Lab, *, handler: bool = True, ret_handler: bool = False) -> None:
        self.lab = lab
        self.hits: list[tuple[str, int]] = []
        self.returns: list[tuple[int, int, int]] = []
        self.consumer = UprobeConsumer(self._hit if handler else None, self._return if ret_handler else None)

    def _hit(self, regs: PtRegs) -> None:
        self.hits.append((self.lab.kernel.current(regs.cpu).name, regs.ip))

    def _return(self, func: int, regs: PtRegs) -> None:
        self.returns.append((func, regs.ip, regs.ax))

    def on(self, file: GuestFile, offset: int, name: str = "it") -> Uprobe:
        found: list[Uprobe] = []
        register = partial(self.lab.manager.uprobes.uprobe_register, file, offset, self.consumer, name)
        self.lab.timeline.input("uprobe", lambda: found.append(register()))
        return found[-1]


def said(lab: Lab, *commands: str) -> str:
    """What commands print."""
    before = len(lab.console)
    for command in commands:
        lab.type(command)
        lab.run()
    return lab.console[before:]


def test_a_hit_is_told_with_the_programs_registers() -> None:
    lab = rested()
    cat, listener = Program(lab.manager.uprobes, "/bin/cat"), Listener(lab)
    listener.on(cat.file, cat["main"])
    assert said(lab, "cat /etc/hostname") == "toyix\n"
    assert listener.hits == [("cat", cat["main"] + cat.distance)]


def test_the_files_own_page_is_never_changed() -> None:
    """The int3 is in the process's copy; who reads the file sees the file."""
    lab = rested()
    cat, listener = Program(lab.manager.uprobes, "/bin/cat"), Listener(lab)
    listener.on(cat.file, cat["main"])
    assert said(lab, "cat /bin/cat | wc", "cat /etc/hostname").endswith("toyix\n")
    installed = only(lab, "uprobe.install")
    assert len(installed) == 2
    assert Program(lab.manager.uprobes, "/bin/cat").bytes == cat.bytes
    page = lab.manager.uprobes.files.page(cat.file.inode, cat["main"] // 4096)
    assert {event.fields["page"] for event in installed} - {page}


def test_a_program_that_runs_already_gets_its_breakpoint_and_loses_it() -> None:
    """register_for_each_vma: init has touched all of this long ago."""
    lab = rested()
    init, listener = Program(lab.manager.uprobes, "/init"), Listener(lab)
    uprobe = listener.on(init.file, init["read_line"] if "read_line" in init.functions else init["read"])
    said(lab, "true")
    first = len(listener.hits)
    assert first and {name for name, _ in listener.hits} == {"init"}
    lab.timeline.input("off", lambda: lab.manager.uprobes.uprobe_unregister(uprobe, listener.consumer))
    assert said(lab, "echo still here") == "still here\n"
    assert len(listener.hits) == first
    assert only(lab, "uprobe.remove")


def test_a_child_inherits_the_breakpoints_of_its_parent() -> None:
    """Nested fork: sh forks itself, and its children fork again, all in copies of the same page."""
    lab = rested()
    sh, listener = Program(lab.manager.uprobes, "/bin/sh"), Listener(lab)
    listener.on(sh.file, sh["main"] + 1)
    listener.on(sh.file, sh["fork"])
    plain = rested()
    command = "sh -c 'echo one; sh -c \"echo two | cat; echo three\"'"
    assert said(lab, command) == said(plain, command)
    assert len(listener.hits) >= 6 and {name for name, _ in listener.hits} == {"sh"}


@pytest.mark.parametrize("cpus", [1, 2])
def test_every_instruction_of_a_program_can_be_probed_at_once(cpus: int) -> None:
    """Each is stepped, emulated or refused with ENOTSUPP; the program prints what it prints."""
    lab, plain = rested(cpus), rested(cpus)
    cat, listener = Program(lab.manager.uprobes, "/bin/cat"), Listener(lab)
    refused = []
    for function in cat.functions:
        for insn in cat.instructions(function):
            try:
                listener.on(cat.file, insn.address)
            except LinuxError as error:
                assert error.errno is Errno.ENOTSUPP
                refused.append(insn.mnemonic)
    commands = ("cat /etc/hostname /nope", "cat /home/notes.txt | cat | wc")
    assert said(lab, *commands) == said(plain, *commands)
    assert len(listener.hits) > 1000
    assert set(refused) <= {"syscall"}
    kinds = {event.kind for event in lab.events()}
    assert {"uprobe.emulate", "uprobe.singlestep"} <= kinds


def test_returns_are_caught_also_of_calls_in_calls() -> None:
    lab, plain = rested(), rested()
    sh = Program(lab.manager.uprobes, "/bin/sh")
    listener = Listener(lab, handler=False, ret_handler=True)
    # _start returns to nobody: the word on top of its stack is argc.
    for function in sh.functions:
        if function != "_start":
            listener.on(sh.file, sh[function])
    command = "sh -c 'cat /etc/motd | wc; cat /nope || echo no'"
    assert said(lab, command) == said(plain, command)
    assert len(listener.returns) > 20
    low = sh.distance + 0x1000
    assert all(low <= func and low <= ip for func, ip, _ in listener.returns)


def test_the_return_value_is_seen() -> None:
    lab = rested()
    cat = Program(lab.manager.uprobes, "/bin/cat")
    listener = Listener(lab, handler=False, ret_handler=True)
    listener.on(cat.file, cat["main"])
    said(lab, "cat /etc/hostname", "cat /nope")
    assert [value & 0xFFFFFFFF for _, _, value in listener.returns] == [0, 1]


def test_two_listeners_share_a_breakpoint_and_the_latest_is_called_first() -> None:
    lab = rested()
    cat, first, second = Program(lab.manager.uprobes, "/bin/cat"), Listener(lab), Listener(lab, ret_handler=True)
    uprobe = first.on(cat.file, cat["main"])
    assert second.on(cat.file, cat["main"]) is uprobe
    assert uprobe.consumers == (second.consumer, first.consumer)
    said(lab, "cat /etc/hostname")
    assert len(first.hits) == len(second.hits) == len(second.returns) == 1
    assert len(only(lab, "uprobe.install")) == 1


def test_a_programs_own_int3_still_kills_it() -> None:
    """find_active_uprobe: an int3 where no uprobe is belongs to the program, also if it has others."""
    lab = rested()
    cat, listener = Program(lab.manager.uprobes, "/bin/cat"), Listener(lab)
    listener.on(cat.file, cat["main"])

    def plant(regs: PtRegs) -> None:
        lab.machine.ram.write(lab.machine.ram.translate(regs.root, regs.ip + 1), b"\xcc")

    listener.consumer.handler = plant
    assert said(lab, "cat /etc/hostname && echo lived || echo died") == "died\n"


def test_a_handler_that_sends_the_program_elsewhere_has_its_instruction_left_out() -> None:
    lab = rested()
    cat, listener = Program(lab.manager.uprobes, "/bin/cat"), Listener(lab)

    def skip(regs: PtRegs) -> None:
        regs.ax = 0
        regs.ip = int.from_bytes(lab.machine.ram.read_virtual(regs.root, regs.sp, 8), "little")
        regs.sp += 8

    listener.consumer.handler = skip
    listener.on(cat.file, cat["main"])
    assert said(lab, "cat /etc/hostname && echo gone") == "gone\n"


def test_while_nobody_probes_a_program_the_kernel_only_steps_over_a_nop() -> None:
    lab = rested()
    cat, listener = Program(lab.manager.uprobes, "/bin/cat"), Listener(lab)
    key, labels = lab.kernel.symbol("uprobes_enabled_key"), lab.manager.kprobes.jump_labels
    assert labels.static_key_count(key) == 0 and labels.sites(key)
    uprobe = listener.on(cat.file, cat["main"])
    assert labels.static_key_count(key) == 1
    lab.timeline.input("off", lambda: lab.manager.uprobes.uprobe_unregister(uprobe, listener.consumer))
    assert labels.static_key_count(key) == 0


def test_no_memory_is_lost_by_breakpoints_and_hijacked_returns() -> None:
    lab = rested()
    sh = Program(lab.manager.uprobes, "/bin/sh")
    listener = Listener(lab, ret_handler=True)
    for function in ("main", "fork", "wait4"):
        listener.on(sh.file, sh[function])
    free = lab.kernel.symbol("nr_free_pages")
    work = "sh -c 'echo a | cat; sh -c true'"
    said(lab, *[work] * 3)
    before = lab.kernel.read_u64(free)
    said(lab, *[work] * 6)
    assert lab.kernel.read_u64(free) >= before - 3


def test_going_back_over_registration_and_hits_finds_the_same_states() -> None:
    lab = rested()
    beginning = lab.moment.insn
    cat, listener = Program(lab.manager.uprobes, "/bin/cat"), Listener(lab, ret_handler=True)
    listener.on(cat.file, cat["main"])
    listener.on(cat.file, cat["main"] + 1)
    lab.type("cat /etc/hostname")
    lab.run()
    moments = [event.moment for event in lab.events() if event.kind.startswith("uprobe.")]
    assert len(moments) >= 8

    def visit() -> list[object]:
        states: list[object] = []
        for moment in moments:
            lab.seek(moment)
            states.append((state_of(lab), [(u.offset, len(u.consumers)) for u in lab.manager.uprobes]))
        return states

    forward = visit()
    lab.seek(beginning)
    assert not list(lab.manager.uprobes)
    assert visit() == forward


# Refusals


def test_places_that_cannot_be_probed() -> None:
    lab = rested()
    cat, listener = Program(lab.manager.uprobes, "/bin/cat"), Listener(lab)
    with pytest.raises(LinuxError) as caught:
        listener.on(cat.file, cat.file.size + 1)
    assert caught.value.errno is Errno.EINVAL
    with pytest.raises(LinuxError) as caught:
        listener.on(lab.manager.uprobes.files.kern_path("/bin", 0), 0)
    assert caught.value.errno is Errno.EIO
    listener.consumer.handler = None
    with pytest.raises(LinuxError) as caught:
        listener.on(cat.file, cat["main"])
    assert caught.value.errno is Errno.EINVAL


@pytest.mark.parametrize(
    ("code", "errno"),
    [
        ("cc", Errno.ENOTSUPP),  # a breakpoint already
        ("f4", Errno.ENOTSUPP),  # hlt
        ("fa", Errno.ENOTSUPP),  # cli
        ("cd80", Errno.ENOTSUPP),  # int $0x80
        ("e460", Errno.ENOTSUPP),  # in
        ("f048ff00", Errno.ENOTSUPP),  # lock
        ("2e8b00", Errno.ENOTSUPP),  # a cs prefix
        ("8ed0", Errno.ENOTSUPP),  # mov to ss
        ("66e90000", Errno.ENOTSUPP),  # a branch with an operand-size prefix
        ("0f05", Errno.ENOTSUPP),  # syscall
        ("0f0b", Errno.ENOTSUPP),  # ud2
        ("06", Errno.ENOEXEC),
        ("ffff", Errno.ENOEXEC),
    ],
)
def test_instructions_that_are_refused(code: str, errno: Errno) -> None:
    with pytest.raises(LinuxError) as caught:
        analyze_insn(bytes.fromhex(code).ljust(16, b"\x90") if errno is Errno.ENOTSUPP else bytes.fromhex(code), 0x40)
    assert caught.value.errno is errno


@pytest.mark.parametrize(
    ("code", "copy", "fixups"),
    [
        ("488b0500100000", "488b8600100000", Fixup.IP | Fixup.RIP_SI),  # mov 0x1000(%rip),%rax
        ("488b3500100000", "488bb700100000", Fixup.IP | Fixup.RIP_DI),  # mov 0x1000(%rip),%rsi: rsi is taken
        ("498b0500100000", "488b8600100000", Fixup.IP | Fixup.RIP_SI),  # REX.B means nothing there, but would then
        ("c3", "c3", Fixup(0)),
        ("ffd0", "ffd0", Fixup.CALL),
        ("ff1500100000", "ff9600100000", Fixup.CALL | Fixup.RIP_SI),
        ("ffe0", "ffe0", Fixup(0)),
        ("9d", "9d", Fixup.IP | Fixup.SETF),
        ("4889e5", "4889e5", Fixup.IP),
    ],
)
def test_what_the_copy_is_and_what_it_leaves_to_mend(code: str, copy: str, fixups: Fixup) -> None:
    arch = analyze_insn(bytes.fromhex(code).ljust(16, b"\x90"), 0)
    assert (arch.ixol.hex(), arch.fixups, arch.emulate) == (copy, fixups, None)


@pytest.mark.parametrize("code", ["55", "4155", "90", "eb10", "e900000000", "e800000000", "7405", "0f8400000000"])
def test_instructions_that_are_emulated(code: str) -> None:
    """INT-04 has the chain that leads there; unlike for a kprobe, push is one of them."""
    assert analyze_insn(bytes.fromhex(code).ljust(16, b"\x90"), 0).emulate is not None
