"""Functions that ftrace cannot hook are refused to probe events, though not to whoever calls register_kprobe().

Follows Linux 6.1 kernel/trace/trace_kprobe.c:within_notrace_func, for a kernel built without
``CONFIG_KPROBE_EVENTS_ON_NOTRACE``.
"""

from __future__ import annotations

from kprobesim.errors import LinuxError
from kprobesim.kprobes import Kprobe, Kprobes
from kprobesim.linux_errno import Errno

__all__ = ["check_within_notrace_func"]


def check_within_notrace_func(kprobes: Kprobes, probe: Kprobe) -> None:
    """Refuse a probe of an event in a function without a fentry site, on a kernel that has ftrace.

    Args:
        kprobes: the kernel's probes, for its ftrace.
        probe: not registered yet.

    Raises:
        LinuxError: EINVAL, there is no such site (TFS-21).
    """
    if not kprobes.config.ftrace:
        return
    kallsyms = kprobes.kernel.kallsyms
    if probe.symbol_name is not None:
        found = kallsyms.lookup_name(probe.symbol_name)
        address = found[0].address + probe.offset if found else 0
    else:
        address = (probe.address or 0) + probe.offset
    place = kallsyms.lookup_size_offset(address)
    if place is None or kprobes.ftrace.is_traced(place[0].address, place[2]):
        return
    name = place[0].name
    if "." in name:
        # A compiler-made clone shares the fate of the function that it was made of.
        originals = kallsyms.lookup_name(name.partition(".")[0])
        found_at = kallsyms.lookup_size_offset(originals[0].address) if originals else None
        if found_at is not None and kprobes.ftrace.is_traced(found_at[0].address, found_at[2]):
            return
    raise LinuxError(
        Errno.EINVAL,
        f"Could not probe notrace function {name}.",
        hint="ftrace cannot hook it, and probe events keep away from such functions.",
    )
