"""From a section's name to a probe: how each kind of target is attached. One row a kind in `ATTACHERS`.

A row makes links and registers nothing: the lab lets them attach one after the other, each as one input of the
machine's life, which is done again when the machine goes back and forth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final, Protocol

from kprobesim.bpf.object import AttachKind, Target
from kprobesim.errors import BadInput, LinuxError
from kprobesim.kprobes import Kprobe, KprobeManager, Kretprobe
from kprobesim.linux_errno import Errno
from kprobesim.tracing.bpf import Attachment, BpfPrograms

__all__ = ["ATTACHERS", "Attacher", "Link", "links_for"]


class Link(Protocol):
    """A program's attachment, before and after it is made.

    ``attach`` may be called more than once: each time the machine's life passes this point again. Whoever writes one
    tells `BpfIds.add_link` of it, so that bpftool shows it.
    """

    def attach(self) -> None:
        """Let the program run from now on.

        Raises:
            LinuxError: what Linux would refuse it with.
        """
        ...

    def detach(self) -> None:
        """Undo it; the program stays loaded."""
        ...

    def __str__(self) -> str:
        """What is attached to what, in a few words."""
        ...


@dataclass(frozen=True)
class _ProbeLink:
    """A program on a kprobe or return probe."""

    programs: BpfPrograms
    attachment: Attachment

    def attach(self) -> None:
        """See Link."""
        self.programs.attach(self.attachment)

    def detach(self) -> None:
        """See Link."""
        self.programs.detach(self.attachment)

    def __str__(self) -> str:
        kind = "kprobe" if self.attachment.kretprobe is None else "kretprobe"
        return f"{self.attachment.program} to {kind} {self.attachment.kprobe.symbol_name}"


Attacher = Callable[[KprobeManager, BpfPrograms, str, Target, int], Sequence[Link]]
"""Gets the kprobe manager, the programs, the program's name, its target and the cookie."""

_PLACE: Final = re.compile(r"([A-Za-z0-9_.]+)(?:\+(0x[0-9a-fA-F]+|\d+))?")
_SYSCALL: Final = "__x64_sys_"
_MAX_MATCHES: Final = 4096


def links_for(
    manager: KprobeManager, programs: BpfPrograms, program: str, target: Target, cookie: int = 0
) -> Sequence[Link]:
    """The links that a section's name asks for; none if it leaves the target open.

    Args:
        manager: the kprobe manager.
        programs: the kernel's programs.
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
    return attacher(manager, programs, program, target, cookie) if target.extra else []


def _place(target: Target) -> tuple[str, int]:
    found = _PLACE.fullmatch(target.extra)
    if found is None:
        raise BadInput(f'SEC("{target.section}") names no place in the kernel.', hint="Write function or function+0x1.")
    return found.group(1), int(found.group(2) or "0", 0)


def _entry(programs: BpfPrograms, program: str, symbol: str, offset: int, cookie: int) -> Link:
    return _ProbeLink(programs, Attachment(program, Kprobe(symbol_name=symbol, offset=offset), cookie=cookie))


def _return(programs: BpfPrograms, program: str, symbol: str, cookie: int) -> Link:
    probe = Kprobe(symbol_name=symbol)
    return _ProbeLink(programs, Attachment(program, probe, Kretprobe(probe), cookie))


def _kprobe(manager: KprobeManager, programs: BpfPrograms, program: str, target: Target, cookie: int) -> list[Link]:
    return [_entry(programs, program, *_place(target), cookie)]


def _kretprobe(manager: KprobeManager, programs: BpfPrograms, program: str, target: Target, cookie: int) -> list[Link]:
    symbol, offset = _place(target)
    if offset:
        raise BadInput(f'SEC("{target.section}"): kretprobes do not support offset specification.')
    return [_return(programs, program, symbol, cookie)]


def _ksyscall(manager: KprobeManager, programs: BpfPrograms, program: str, target: Target, cookie: int) -> list[Link]:
    return [_entry(programs, program, _SYSCALL + _place(target)[0], 0, cookie)]


def _kretsyscall(
    manager: KprobeManager, programs: BpfPrograms, program: str, target: Target, cookie: int
) -> list[Link]:
    return [_return(programs, program, _SYSCALL + _place(target)[0], cookie)]


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


def _kprobe_multi(
    manager: KprobeManager, programs: BpfPrograms, program: str, target: Target, cookie: int
) -> list[Link]:
    return [_entry(programs, program, name, 0, cookie) for name in _matching(manager, target)]


def _kretprobe_multi(
    manager: KprobeManager, programs: BpfPrograms, program: str, target: Target, cookie: int
) -> list[Link]:
    return [_return(programs, program, name, cookie) for name in _matching(manager, target)]


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
