"""From a section's name to a probe: how each kind of target is attached. One row a kind in `ATTACHERS`.

A row makes the attachments and registers nothing; `BpfPrograms.attach` does that, one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

from kprobesim.bpf.object import AttachKind, Target
from kprobesim.errors import BadInput, LinuxError
from kprobesim.kprobes import Kprobe, KprobeManager, Kretprobe
from kprobesim.linux_errno import Errno
from kprobesim.tracing.bpf import Attachment

__all__ = ["ATTACHERS", "Attacher", "attachments_for"]

Attacher = Callable[[KprobeManager, str, Target, int], list[Attachment]]
"""Gets the kprobe manager, the program's name, its target and the cookie."""

_PLACE: Final = re.compile(r"([A-Za-z0-9_.]+)(?:\+(0x[0-9a-fA-F]+|\d+))?")
_SYSCALL: Final = "__x64_sys_"
_MAX_MATCHES: Final = 4096


def attachments_for(manager: KprobeManager, program: str, target: Target, cookie: int = 0) -> list[Attachment]:
    """The attachments that a section's name asks for; none if it leaves the target open.

    Args:
        manager: the kprobe manager.
        program: the program's name.
        target: what the section's name says.
        cookie: what ``bpf_get_attach_cookie`` answers.

    Raises:
        BadInput: this kind of target cannot be attached here, or its name makes no sense.
        LinuxError: there is nothing of that name.
    """
    attacher = ATTACHERS.get(target.kind)
    if attacher is None:
        known = ", ".join(kind.value for kind in ATTACHERS)
        raise BadInput(
            f'The program {program} in SEC("{target.section}") cannot be attached by itself here.',
            hint=f"These can: {known}.",
        )
    return attacher(manager, program, target, cookie) if target.extra else []


def _place(target: Target) -> tuple[str, int]:
    found = _PLACE.fullmatch(target.extra)
    if found is None:
        raise BadInput(f'SEC("{target.section}") names no place in the kernel.', hint="Write function or function+0x1.")
    return found.group(1), int(found.group(2) or "0", 0)


def _kprobe(manager: KprobeManager, program: str, target: Target, cookie: int) -> list[Attachment]:
    symbol, offset = _place(target)
    return [Attachment(program, Kprobe(symbol_name=symbol, offset=offset), cookie=cookie)]


def _kretprobe(manager: KprobeManager, program: str, target: Target, cookie: int) -> list[Attachment]:
    symbol, offset = _place(target)
    if offset:
        raise BadInput(f'SEC("{target.section}"): kretprobes do not support offset specification.')
    return [_return(program, symbol, cookie)]


def _return(program: str, symbol: str, cookie: int) -> Attachment:
    probe = Kprobe(symbol_name=symbol)
    return Attachment(program, probe, Kretprobe(probe), cookie)


def _ksyscall(manager: KprobeManager, program: str, target: Target, cookie: int) -> list[Attachment]:
    return [Attachment(program, Kprobe(symbol_name=_SYSCALL + _place(target)[0]), cookie=cookie)]


def _kretsyscall(manager: KprobeManager, program: str, target: Target, cookie: int) -> list[Attachment]:
    return [_return(program, _SYSCALL + _place(target)[0], cookie)]


def _matching(manager: KprobeManager, target: Target) -> list[str]:
    """Functions that a pattern such as ``vfs_*`` means and that can be probed, each name once."""
    names = dict.fromkeys(
        symbol.name
        for symbol in manager.kernel.kallsyms
        if symbol.is_text
        and fnmatchcase(symbol.name, target.extra)
        and not manager.kprobes.blacklist.reason(symbol.address)
    )
    if not names:
        raise LinuxError(Errno.ESRCH, f"No function that can be probed matches {target.extra!r}.")
    return list(names)[:_MAX_MATCHES]


def _kprobe_multi(manager: KprobeManager, program: str, target: Target, cookie: int) -> list[Attachment]:
    return [Attachment(program, Kprobe(symbol_name=name), cookie=cookie) for name in _matching(manager, target)]


def _kretprobe_multi(manager: KprobeManager, program: str, target: Target, cookie: int) -> list[Attachment]:
    return [_return(program, name, cookie) for name in _matching(manager, target)]


ATTACHERS: Final[Mapping[AttachKind, Attacher]] = MappingProxyType(
    {
        AttachKind.KPROBE: _kprobe,
        AttachKind.KRETPROBE: _kretprobe,
        AttachKind.KSYSCALL: _ksyscall,
        AttachKind.KRETSYSCALL: _kretsyscall,
        AttachKind.KPROBE_MULTI: _kprobe_multi,
        AttachKind.KRETPROBE_MULTI: _kretprobe_multi,
    }
)
