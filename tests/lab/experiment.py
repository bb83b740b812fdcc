"""Experiments that tests share, and everything there is to know about the state of one."""

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kprobesim.lab import Event, Lab

DEMO = Path(__file__).resolve().parents[2] / "lessons" / "demos" / "first-probe"
COMMAND = "cat /home/notes.txt | wc"


@functools.cache
def by_pid() -> str:
    """The program of the default demo: counts[pid] += 1."""
    return (DEMO / "by_pid.bpf").read_text(encoding="utf-8")


def rested(cpus: int = 1, seed: int = 0, *, optimization: bool = False) -> Lab:
    """A booted machine that waits for input, and whose probes stay int3 unless a test is about the others."""
    lab = Lab.open(cpus=cpus, seed=seed, optimization=optimization)
    lab.run()
    return lab


def rich(cpus: int = 1, seed: int = 0) -> Lab:
    """A life with a counting program, a return probe, and two processes; the machine is back where it began."""
    lab = rested(cpus, seed)
    beginning = lab.moment.insn
    lab.load_program(by_pid(), "by_pid")
    lab.attach("by_pid", "vfs_read")
    lab.load_program("r0 = *(u64 *)(r1 +80)\nexit", "result")
    lab.attach("result", "vfs_write", returns=True)
    lab.type(COMMAND)
    lab.run()
    lab.start = beginning
    lab.seek(beginning)
    return lab


State = dict[str, Any]


def state_of(lab: Lab) -> State:
    """The whole state at this moment: all registers of all CPUs, all RAM, probes, programs, maps, console."""
    kprobes = lab.manager.kprobes
    view = lab.bpf_view()
    return {
        "place": (lab.moment, lab.seq, lab.ns, lab.machine.off),
        "console": (lab.console, bytes(lab.machine.devices.input)),
        "registers": [lab.registers(cpu.number) for cpu in lab.machine.cpus],
        "cpus": [(cpu.online, cpu.halted, tuple(cpu.pending), cpu.timer) for cpu in lab.machine.cpus],
        "handling": [
            (block.status.name, block.saved_flags, block.old_flags, block.current and block.current.addr)
            for block in kprobes.ctlblk
        ],
        "probes": sorted(
            (probe.addr or 0, probe.opcode, probe.nmissed, int(probe.flags), probe.ainsn and probe.ainsn.copy)
            for probe in kprobes
        ),
        "maps": lab.maps(),
        "programs": sorted(lab.bpf.programs),
        "attachments": [(attachment.program, attachment.kprobe.addr) for attachment in lab.bpf.attachments],
        "running": view and (view.program.name, view.pc, view.registers, view.stack, view.executed),
        "ram": hashlib.sha256(lab.machine.ram.bytes).hexdigest(),
    }


def kinds_of(events: Iterable[Event]) -> list[str]:
    return [event.kind for event in events]


def only(lab: Lab, kind: str) -> list[Event]:
    """All events of a kind, those of the known future included."""
    return [event for event in lab.events() if event.kind == kind]
