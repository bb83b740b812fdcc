"""Handlers that never end, fault or turn against the manager, by each way in which a handler can be called.

An int3, a jump, ftrace, and the return of a function: what comes of it is the same, and the machine can be used
afterwards.
"""

from collections.abc import Callable, Generator
from enum import Enum
from typing import Any

import pytest

from kprobesim.errors import GuestError, LinuxError
from kprobesim.kprobes import Kprobe, KprobeConfig, KprobeFlag, Kretprobe
from kprobesim.lab import Lab, Profile
from kprobesim.linux_errno import Errno
from kprobesim.machine import GuestCall, Moment, Stop
from tests.kprobes.running import Running, Spy

PROBED = "vfs_open"
NOWHERE = 0xFFFF_FFFF_FFFF_0000
Handler = Callable[..., Any]


class By(Enum):
    """What calls the handler."""

    INT3 = "int3"
    JUMP = "jump"
    FTRACE = "ftrace"
    RETURN = "return"


CONFIGS = {By.JUMP: KprobeConfig(optprobes=True), By.FTRACE: KprobeConfig(ftrace=True)}


class Bench:
    """A machine at rest whose function is probed by a handler.

    Args:
        by: what calls it.
        handler: what is called.
    """

    def __init__(self, boot: Callable[..., Running], by: By, handler: Handler) -> None:
        variant = "" if by is By.FTRACE else "bare"
        self.running = running = boot(variant=variant, config=CONFIGS.get(by, KprobeConfig()))
        running.run()
        self.before = running.machine.retired
        self.text = running.text()
        self.by = by
        self.probe = self.register(PROBED, handler)
        running.run()
        assert (running.byte(running.symbol(PROBED)) == 0xE9) == (by is By.JUMP)
        assert bool(self.probe.flags & KprobeFlag.FTRACE) == (by is By.FTRACE)

    def register(self, function: str, handler: Handler) -> Kprobe:
        if self.by is By.RETURN:
            return self.running.register(Kretprobe(Kprobe(symbol_name=function), handler=handler))
        return self.running.register(Kprobe(symbol_name=function, pre_handler=handler))

    def open_a_file(self) -> None:
        self.running.timeline.input("type", lambda: self.running.machine.devices.type(b"cat /etc/hostname\n"))

    def works_again(self) -> None:
        """From before the probe the machine goes on, and nothing is left of it."""
        running = self.running
        running.timeline.seek(Moment(self.before))
        self.open_a_file()
        running.run()
        assert running.console().endswith("toyix\n")
        assert not running.machine.suspended and not running.kprobes.sites()
        assert running.text() == self.text


@pytest.fixture(params=list(By), ids=[by.value for by in By])
def bench(request: pytest.FixtureRequest, boot_toyix: Callable[..., Running]) -> Callable[[Handler], Bench]:
    return lambda handler: Bench(boot_toyix, request.param, handler)


def endless(running: Callable[[], Running]) -> Handler:
    def handler(*_: Any) -> Generator[GuestCall, int, int]:
        while True:
            yield GuestCall(running().symbol("strlen"), (running().symbol("utsname"),))

    return handler


def test_one_that_never_ends_comes_to_the_runs_limit(bench: Callable[[Handler], Bench]) -> None:
    """Each of its calls takes instructions."""
    here = bench(endless(lambda: here.running))
    here.open_a_file()
    assert here.running.run(here.running.machine.retired + 300_000) is Stop.LIMIT
    assert here.running.machine.suspended
    here.works_again()


def test_what_one_raises_is_passed_on(bench: Callable[[Handler], Bench]) -> None:
    def handler(*_: Any) -> int:
        raise ZeroDivisionError

    here = bench(handler)
    here.open_a_file()
    with pytest.raises(ZeroDivisionError):
        here.running.run()
    here.works_again()


def test_one_that_reads_where_nothing_is_stops_the_machine_with_a_report(bench: Callable[[Handler], Bench]) -> None:
    """FLT-02."""
    here = bench(lambda *_: here.running.kernel.read(NOWHERE, 8)[0])
    here.open_a_file()
    with pytest.raises(GuestError):
        here.running.run()
    here.works_again()


def test_one_whose_guest_code_faults_is_an_oops_of_the_kernel(bench: Callable[[Handler], Bench]) -> None:
    """FLT-02: no fix-up mends it. In an int3's handler that is interrupt context, and everything ends."""

    def handler(*_: Any) -> Generator[GuestCall, int, int]:
        yield GuestCall(here.running.symbol("strlen"), (NOWHERE,))
        return 0

    here = bench(handler)
    here.open_a_file()
    if here.by is By.INT3:
        with pytest.raises(GuestError, match="Fatal exception in interrupt"):
            here.running.run()
    else:
        here.running.run()
    assert "BUG: unable to handle page fault" in here.running.console()
    here.works_again()


def test_one_that_calls_what_it_probes_is_missed_there(bench: Callable[[Handler], Bench]) -> None:
    """REE-01, REE-04: no recursion without end. FTR-03: ftrace does not even count, as its own lock comes first."""
    spy = Spy()

    def handler(*_: Any) -> Generator[GuestCall, int, int]:
        spy.calls.append(("hit", {}))
        yield GuestCall(here.running.symbol("strlen"), (here.running.symbol("utsname"),))
        return 0

    here = bench(handler)
    inner = here.register("strlen", handler)
    here.running.run()
    here.open_a_file()
    here.running.run()
    assert here.running.console().endswith("toyix\n")
    assert spy.calls
    assert inner.nmissed == (0 if here.by is By.FTRACE else len(spy.calls))
    here.running.unregister(inner, here.probe)
    here.running.run()
    here.works_again()


def test_one_that_registers_a_probe_is_the_users_error(bench: Callable[[Handler], Bench]) -> None:
    """INT-15: code is changed between two runs only."""

    def handler(*_: Any) -> int:
        here.running.kprobes.register_kprobe(Kprobe(symbol_name="vfs_read"))
        return 0

    here = bench(handler)
    here.open_a_file()
    with pytest.raises(AssertionError, match="never inside one"):
        here.running.run()
    here.works_again()


def test_the_manager_itself_cannot_be_probed(bench: Callable[[Handler], Bench]) -> None:
    """REG-08: what runs while a probe is handled is on the blacklist, for return probes and by ftrace too."""
    here = bench(lambda *_: 0)
    for function in ("kprobe_int3_handler", "optimized_callback", "rethook_trampoline_handler", "exc_int3"):
        with pytest.raises(LinuxError) as caught:
            here.register(function, lambda *_: 0)
        assert caught.value.errno is Errno.EINVAL
    here.open_a_file()
    here.running.run()
    assert here.running.console().endswith("toyix\n")


@pytest.mark.parametrize(
    ("profile", "optimization", "returns"),
    [(Profile.BARE, False, False), (Profile.BARE, True, False), (Profile.DISTRO, False, False),
     (Profile.BARE, False, True)],
    ids=["int3", "jump", "ftrace", "return"],
)  # fmt: skip
def test_a_program_that_never_ends_is_ended_by_its_budget(profile: Profile, optimization: bool, returns: bool) -> None:
    lab = Lab.open(profile=profile, optimization=optimization)
    lab.load_program("r0 = 0\nagain:\nr0 += 1\ngoto again\nexit", "endless", verified=False)
    lab.attach("endless", PROBED, returns=returns)
    lab.run()
    lab.type("cat /etc/hostname")
    lab.run()
    assert any(event.kind == "bpf.fault" for event in lab.events())
    assert lab.console.endswith("toyix\n")
