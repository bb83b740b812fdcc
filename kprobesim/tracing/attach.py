"""From a section's name to a link: how each kind of target is attached. One row a kind in `ATTACHERS`.

A row makes a link and registers nothing: the lab lets it attach as one input of the machine's life, which is done again
when the machine goes back and forth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

from kprobesim.bpf.object import AttachKind, Target
from kprobesim.errors import BadInput, LinuxError
from kprobesim.image import Symbol
from kprobesim.kprobes import Kprobe, Kretprobe
from kprobesim.linux_errno import Errno
from kprobesim.tracing.bpf import Attachment
from kprobesim.tracing.links import (
    KprobeMultiLink,
    Link,
    LinkGroup,
    Places,
    ProbeLink,
    RawTracepointLink,
    TracepointLink,
    UprobeLink,
)
from kprobesim.tracing.perf_clock import PerfEventLink
from kprobesim.tracing.tracing_links import TpBtfLink, TracingLink

__all__ = ["ATTACHERS", "Attacher", "link_for"]

Attacher = Callable[[Places, str, Target, int], Link]
"""Gets the places of the kernel, the program's name, its target and the cookie."""

_PLACE: Final = re.compile(r"([A-Za-z0-9_.]+)(?:\+(0x[0-9a-fA-F]+|\d+))?")
_NUMBER: Final = re.compile(r"0x[0-9a-fA-F]+|\d+")
_SYSCALL: Final = "__x64_sys_"
_MAX_MATCHES: Final = 4096
_PATH: Final = "/bin/"

_WHY_NOT: Final[Mapping[AttachKind, str]] = MappingProxyType(
    {
        AttachKind.USDT: "The programs of the guest have no USDT probes; uprobe takes any function.",
    }
)


def link_for(places: Places, program: str, target: Target, cookie: int = 0) -> Link | None:
    """The link that a section's name asks for; None if it leaves the target open.

    Args:
        places: where programs can be attached.
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
            hint=f"{_WHY_NOT.get(target.kind, '')} These can: {known}.".strip(),
        )
    return attacher(places, program, target, cookie) if target.extra else None


def _place(target: Target) -> tuple[str, int]:
    found = _PLACE.fullmatch(target.extra)
    if found is None:
        raise BadInput(f'SEC("{target.section}") names no place in the kernel.', hint="Write function or function+0x1.")
    return found.group(1), int(found.group(2) or "0", 0)


def _entry(places: Places, program: str, symbol: str, offset: int, cookie: int) -> Link:
    return ProbeLink(places.programs, Attachment(program, Kprobe(symbol_name=symbol, offset=offset), cookie=cookie))


def _return(places: Places, program: str, symbol: str, cookie: int) -> Link:
    probe = Kprobe(symbol_name=symbol)
    return ProbeLink(places.programs, Attachment(program, probe, Kretprobe(probe), cookie))


def _kprobe(places: Places, program: str, target: Target, cookie: int) -> Link:
    return _entry(places, program, *_place(target), cookie)


def _kretprobe(places: Places, program: str, target: Target, cookie: int) -> Link:
    symbol, offset = _place(target)
    if offset:
        raise BadInput(f'SEC("{target.section}"): kretprobes do not support offset specification.')
    return _return(places, program, symbol, cookie)


def _ksyscall(places: Places, program: str, target: Target, cookie: int) -> Link:
    return _entry(places, program, _SYSCALL + _place(target)[0], 0, cookie)


def _kretsyscall(places: Places, program: str, target: Target, cookie: int) -> Link:
    return _return(places, program, _SYSCALL + _place(target)[0], cookie)


def _multi(places: Places, program: str, target: Target, cookie: int, returns: bool) -> Link:
    """One fprobe where the kernel has ftrace, else as many kprobes."""
    kernel, kprobes = places.manager.kernel, places.manager.kprobes
    ftrace = kprobes.config.ftrace

    def fits(symbol: Symbol) -> bool:
        if not symbol.is_text or not fnmatchcase(symbol.name, target.extra):
            return False
        if ftrace:
            return kprobes.ftrace.ftrace_location(symbol.address) == symbol.address
        return not kprobes.blacklist.reason(symbol.address)

    found = {symbol.name: symbol.address for symbol in kernel.kallsyms if fits(symbol)}
    if not found:
        raise LinuxError(Errno.ESRCH, f"No function that can be probed matches {target.extra!r}.")
    names = list(found)[:_MAX_MATCHES]
    if ftrace:
        sites = tuple(found[name] for name in names)
        return KprobeMultiLink(places, program, target.extra, sites, returns, cookie)
    links = [
        _return(places, program, name, cookie) if returns else _entry(places, program, name, 0, cookie)
        for name in names
    ]
    return links[0] if len(links) == 1 else LinkGroup(links, f"{program} to {len(links)} functions {target.extra}")


def _kprobe_multi(places: Places, program: str, target: Target, cookie: int) -> Link:
    return _multi(places, program, target, cookie, returns=False)


def _kretprobe_multi(places: Places, program: str, target: Target, cookie: int) -> Link:
    return _multi(places, program, target, cookie, returns=True)


def _uprobe_at(places: Places, program: str, target: Target, cookie: int, returns: bool) -> Link:
    path, colon, where = target.extra.rpartition(":")
    found = _PLACE.fullmatch(where)
    if not colon or not path or found is None:
        raise BadInput(
            f'SEC("{target.section}") names no place in a program.', hint="Write uprobe//bin/cat:main or main+0x4."
        )
    function, offset = found.group(1), int(found.group(2) or "0", 0)
    if _NUMBER.fullmatch(function):
        function, offset = "", int(function, 0) + offset
    if returns and function and offset:
        raise BadInput(f'SEC("{target.section}"): uretprobes do not support offset specification.')
    # As libbpf does, a name without a slash is looked for where programs are.
    return UprobeLink(places, program, path if "/" in path else _PATH + path, function, offset, returns, cookie)


def _uprobe(places: Places, program: str, target: Target, cookie: int) -> Link:
    return _uprobe_at(places, program, target, cookie, returns=False)


def _uretprobe(places: Places, program: str, target: Target, cookie: int) -> Link:
    return _uprobe_at(places, program, target, cookie, returns=True)


def _tracepoint(places: Places, program: str, target: Target, cookie: int) -> Link:
    group, slash, name = target.extra.partition("/")
    if not (slash and group and name):
        raise BadInput(f'SEC("{target.section}") names no event.', hint="Write tp/syscalls/sys_enter_openat.")
    return TracepointLink(places, program, group, name, cookie)


def _raw_tracepoint(places: Places, program: str, target: Target, cookie: int) -> Link:
    return RawTracepointLink(places, program, target.extra)


def _tracing(places: Places, program: str, target: Target, cookie: int) -> Link:
    return TracingLink(places, program, cookie, target.extra)


def _tp_btf(places: Places, program: str, target: Target, cookie: int) -> Link:
    return TpBtfLink(places, program, target.extra)


def _perf_event(places: Places, program: str, target: Target, cookie: int) -> Link:
    return PerfEventLink(places.programs, program, target.extra, cookie)


ATTACHERS: Final[Mapping[AttachKind, Attacher]] = MappingProxyType(
    {
        AttachKind.KPROBE: _kprobe,
        AttachKind.KRETPROBE: _kretprobe,
        AttachKind.KSYSCALL: _ksyscall,
        AttachKind.KRETSYSCALL: _kretsyscall,
        AttachKind.KPROBE_MULTI: _kprobe_multi,
        AttachKind.KRETPROBE_MULTI: _kretprobe_multi,
        AttachKind.UPROBE: _uprobe,
        AttachKind.URETPROBE: _uretprobe,
        AttachKind.TRACEPOINT: _tracepoint,
        AttachKind.RAW_TRACEPOINT: _raw_tracepoint,
        AttachKind.TP_BTF: _tp_btf,
        AttachKind.PERF_EVENT: _perf_event,
        AttachKind.FENTRY: _tracing,
        AttachKind.FEXIT: _tracing,
        AttachKind.FMOD_RET: _tracing,
    }
)
