"""Handlers that never end on several CPUs, and probes on the code that serves probes.

What a hostile handler comes to by each mechanism is in ``test_hostile_mechanisms``.
"""

from collections.abc import Callable, Generator
from typing import Any

import pytest

from kprobesim.errors import LinuxError
from kprobesim.kprobes import Kprobe
from kprobesim.linux_errno import Errno
from kprobesim.machine import GuestCall, Moment, Stop
from tests.kprobes.running import Running


def typed(running: Running, line: bytes = b"cat /etc/hostname\n") -> None:
    running.timeline.input("type", lambda: running.machine.devices.type(line))


def resting(boot_toyix: Callable[..., Running], cpus: int = 1) -> Running:
    running = boot_toyix(cpus=cpus)
    running.run()
    return running


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_handler_that_has_the_guest_run_for_ever_can_be_left_by_going_back(
    boot_toyix: Callable[..., Running], cpus: int
) -> None:
    """Each call takes instructions, so the run comes to its limit; from any earlier moment the machine goes on."""
    running = resting(boot_toyix, cpus)
    here = running.machine.retired

    def handler(*_: Any) -> Generator[GuestCall, int, int]:
        while True:
            yield GuestCall(running.symbol("strlen"), (running.symbol("utsname"),))

    running.register(Kprobe(symbol_name="vfs_open", pre_handler=handler))
    typed(running)
    assert running.run(here + 200_000) is Stop.LIMIT
    assert running.machine.suspended
    running.timeline.seek(Moment(here))
    typed(running)
    running.run()
    assert running.console().endswith("toyix\n")
    assert not running.machine.suspended


@pytest.mark.parametrize(
    "function",
    [
        "kprobe_int3_handler",
        "kprobe_fault_handler",
        "optimized_callback",
        "rethook_trampoline_handler",
        "arch_rethook_trampoline",
        "exc_int3",
        "asm_exc_int3",
        "exc_page_fault",
        "do_user_addr_fault",
    ],
)
@pytest.mark.parametrize("offset", [0, 4])
def test_the_managers_own_code_cannot_be_probed(boot_toyix: Callable[..., Running], function: str, offset: int) -> None:
    """REG-08: what runs while a probe is handled is on the blacklist, whole functions of it."""
    running = resting(boot_toyix)
    text = running.text()
    with pytest.raises(LinuxError) as caught:
        running.register(Kprobe(symbol_name=function, offset=offset))
    assert caught.value.errno is Errno.EINVAL
    assert running.text() == text
