"""Instructions of every kind, each run on the CPU and run with a probe on it.

    python -m tests.kprobes.instructions            (every encoding, every profile; several minutes)
    python -m tests.kprobes.instructions --profile server --every 7

The corpus is generated: each opcode of the one-byte and of the two-byte map, with each prefix that selects another
instruction, on registers, on memory and relative to RIP. What the decoder does not know is left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Final

from kprobesim.errors import GuestError, LinuxError
from kprobesim.image import MAX_INSN_SIZE, Instruction, decode_one
from kprobesim.kprobes import Kprobe, KprobeConfig
from kprobesim.lab import Profile
from kprobesim.linux_errno import Errno
from kprobesim.machine import MemoryFault, Moment, Stop
from tests.guests.board import DATA, HIGH_PHYSICAL, TABLES
from tests.guests.code import REGISTERS
from tests.guests.kernel import MODULE_AREA, MODULE_PAGES, HandMadeKernel
from tests.image.elf_writer import TEXT_BASE
from tests.kprobes.native import IF, STACK
from tests.kprobes.running import Running

__all__ = ["config_of", "corpus", "verdict"]

_PREFIXES: Final = ("", "66", "f2", "f3", "48")
# ModRM and what follows: registers, (%rbx), 8(%rbx), (%rbx,%rcx) and a place relative to RIP; each with /0 to /7.
_FORMS: Final = (0xC1, 0x03, 0x43, 0x04, 0x05)
_BEHIND: Final = {0x43: "08", 0x04: "0b", 0x05: "40000000"}
_GROUP_OPCODES: Final = "80818283 8fc0c1c6c7 d0d1d2d3 d8d9dadbdcdddedf f6f7feff".replace(" ", "")
_GROUPS: Final = frozenset(
    {f"{byte:02x}" for byte in bytes.fromhex(_GROUP_OPCODES)}
    | {f"0f{byte:02x}" for byte in bytes.fromhex("00010d18717273aebac7")}
)
# What a trap and the entry stub push.
_FRAME: Final = 0xC0
# Where TF steps, a repeated string instruction is hit once for each of its 64 repetitions.
_PROBED: Final = 20_000
_IMMEDIATE: Final = "0500000000000000"
# The answers of these differ from run to run, with or without a probe.
_UNSTEADY: Final = frozenset({"rdtsc", "rdtscp", "rdrand", "rdseed", "rdpmc", "cpuid", "xgetbv"})
_REGISTERS: Final = {"rbx": DATA + 0x100, "rcx": 0x40, "rsi": DATA + 0x200, "rdi": DATA + 0x280, "rax": 0x1234_5678}


def config_of(profile: Profile) -> KprobeConfig:
    """A profile, for a kernel without ftrace; the probe is looked at before it could become a jump."""
    config = profile.config
    return KprobeConfig(preemption=config.preemption, stepping=config.stepping)


@cache
def corpus() -> tuple[Instruction, ...]:
    """Every encoding, once, without those on which the emulated CPU or Linux's emulation is known to differ."""
    found: dict[bytes, Instruction] = {}
    for code in _candidates():
        insn = decode_one(bytes.fromhex(code)[:MAX_INSN_SIZE], 0x1000)
        if isinstance(insn, Instruction) and insn.mnemonic not in _UNSTEADY and not _is_known(insn):
            found.setdefault(insn.raw, insn)
    return tuple(found.values())


def _candidates() -> Iterator[str]:
    opcodes = [f"{byte:02x}" for byte in range(256)] + [f"0f{byte:02x}" for byte in range(256)]
    for opcode in opcodes:
        members = range(8) if opcode in _GROUPS else (3,)
        for prefix in _PREFIXES:
            for form in _FORMS:
                for reg in members:
                    modrm = f"{form & ~0x38 | reg << 3:02x}{_BEHIND.get(form, '')}"
                    yield f"{prefix}{opcode}{modrm}{_IMMEDIATE}"


def _is_known(insn: Instruction) -> bool:
    """What docs/differences-from-linux.md lists: returns with an operand and far ones, a call with a prefix, pushf and
    popf of 16 bits, hlt. Also branches with 66, which the emulated CPU takes to 16 bits as AMD's do, and Linux's
    decoder to 32 as Intel's."""
    opcode, two = insn.encoding.opcode, insn.raw.lstrip(b"\x66\xf2\xf3\x48\x4c")[:1] == b"\x0f"
    if two:
        return 0x80 <= opcode <= 0x8F and b"\x66" in insn.raw[:2]
    branch = 0x70 <= opcode <= 0x7F or 0xE0 <= opcode <= 0xE3 or opcode in (0xE8, 0xE9, 0xEB, 0xC3)
    if opcode in (0x9C, 0x9D) and b"\x66" in insn.raw[:2]:
        return True
    return opcode in (0xC2, 0xCA, 0xCB, 0xF4) or (
        branch and (b"\x66" in insn.raw[:2] or (opcode == 0xE8 and insn.size > 5))
    )


def _kernel(insn: Instruction) -> HandMadeKernel:
    kernel = HandMadeKernel()
    guest = kernel.code
    for number, register in enumerate(name for name in REGISTERS if name not in ("rax", "rsp")):
        guest.mov(register, _REGISTERS.get(register, 0x1111_1111_1111_1111 * (number + 1)))
    guest.mov("rsp", STACK).push("rax").mov("rax", IF | 2).raw("48870424").op("popf")
    guest.mov("rax", _REGISTERS["rax"]).jmp("probed")
    kernel.function("before").raw("f4" * 256)
    kernel.function("probed").raw(insn.raw.hex()).raw("f4" * 256)
    return kernel


def _end(running: Running, limit: int) -> tuple[object, ...]:
    """How a run ends: why, all registers, and all memory but what a probe may leave there."""
    try:
        stop = running.run(limit)
    except GuestError as failure:
        return ("ends the guest", type(failure).__name__)
    if stop is not Stop.IDLE:
        return (stop.name,)
    registers = running.machine.registers()
    ram = bytearray(running.machine.ram.bytes)
    top = registers["rsp"] if registers["rsp"] < len(ram) else STACK
    # Slots, page tables (who was there is noted in them), and what traps have left below the stack, also below the one
    # that the instruction has left for another.
    below = [(max(0, end - 0x800), end) for end in (top, STACK)]
    for begin, end in ((MODULE_AREA, MODULE_AREA + MODULE_PAGES * 4096), (TABLES, TABLES + 0x8000), *below):
        ram[begin:end] = bytes(end - begin)
    ram[HIGH_PHYSICAL + running.symbol("probed") - TEXT_BASE] = 0
    return (stop.name, tuple(registers.items()), bytes(ram))


def _traps_can_follow(running: Running, insn: Instruction) -> bool:
    """Whether a trap behind an instruction that has run still finds its gate and a stack: the step ends with one."""
    stack = running.machine.registers()["rsp"] & ~15
    if insn.mnemonic in ("lgdt", "lidt") or stack < _FRAME:
        return False
    try:
        running.kernel.read(stack - _FRAME, _FRAME)
    except MemoryFault:
        return False
    return True


def verdict(insn: Instruction, profile: Profile) -> str:
    """What a probe on an instruction comes to.

    Returns:
        ``same``, ``same, and the guest ends``, ``same, and no trap can follow``, ``refused`` and the errno, or what is
        wrong: ``DIFFERENT`` and where.
    """
    running = Running(_kernel(insn).image(), ram_size=2 << 20, config=config_of(profile))
    start = running.machine.retired
    native = _end(running, start + 600)
    traps_follow = _traps_can_follow(running, insn)
    running.timeline.seek(Moment(start + 1))
    try:
        running.register(Kprobe(symbol_name="probed"))
    except LinuxError as error:
        known = error.errno in (Errno.EINVAL, Errno.EOPNOTSUPP, Errno.ENOSPC, Errno.EILSEQ)
        return f"refused {error.errno.name}" if known else f"DIFFERENT {error}"
    probed = _end(running, start + _PROBED)
    if native[0] == "IDLE" and probed[0] != "IDLE" and not traps_follow:
        return "same, and no trap can follow"
    if native == probed:
        return "same" if native[0] == "IDLE" else f"same, and the guest {native[0]}"
    if native[0] != probed[0]:
        return f"DIFFERENT end: {native[0]}, {probed[0]}"
    assert isinstance(native[1], tuple) and isinstance(probed[1], tuple)
    registers = [name for (name, value), (_, other) in zip(native[1], probed[1], strict=True) if value != other]
    return f"DIFFERENT {', '.join(registers) or 'memory'}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", action="append", choices=[profile.value for profile in Profile])
    parser.add_argument("--every", type=int, default=1, help="only every so many instructions of the corpus")
    options = parser.parse_args()
    bad = 0
    for name in options.profile or ["bare", "server", "history"]:
        begin, verdicts = time.monotonic(), Counter[str]()
        for insn in corpus()[:: options.every]:
            said = verdict(insn, Profile(name))
            if said.startswith("DIFFERENT"):
                bad += 1
                print(f"--profile {name}: {insn.raw.hex()} {insn.text}: {said}", flush=True)
            verdicts[said.split(" end")[0] if said.startswith("DIFFERENT") else said] += 1
        print(f"{name}: {sum(verdicts.values())} instructions, {time.monotonic() - begin:.0f} s")
        for said, count in verdicts.most_common(20):
            print(f"{count:>8,} {said}", flush=True)
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
