"""The digest of a stream of events: two lives with the same one are the same life."""

from __future__ import annotations

import hashlib

from kprobesim.lab.lab import Lab
from kprobesim.machine import EventLog

__all__ = ["digest_of"]


def digest_of(lab: Lab, head: int) -> tuple[int, str]:
    """How many events lie before an instruction, and the SHA-256 over them.

    Bytes and numbers are written so that every host and every version of Python gives the same.

    Args:
        lab: whose events.
        head: an instruction's number; events of that instruction itself do not count, it may not be over.
    """
    log: EventLog = lab.machine.log
    count = log.first_at(head)
    digest = hashlib.sha256()
    last, number = -1, 0
    for seq in range(count):
        insn, cpu, kind, fields, idle_ns = log.record(seq)
        last, number = insn, number + 1 if insn == last else 1
        digest.update(f"{insn} {number} {cpu} {kind} {idle_ns} {_text(fields)}\n".encode(errors="replace"))
    return count, digest.hexdigest()


def _text(fields: dict[str, object]) -> str:
    return " ".join(f"{name}={_value(value)}" for name, value in fields.items())


def _value(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return "[" + ",".join(_value(item) for item in value) + "]"
    return str(int(value)) if isinstance(value, int) else ascii(value)
