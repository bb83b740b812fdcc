"""``/sys/kernel/debug/kprobes``: Linux kernel/kprobes.c (report_probe, kprobe_blacklist_seq_show, enabled)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes import Kprobe, KprobeManager, Kretprobe
from kprobesim.kprobes.kprobe import KprobeFlag
from kprobesim.linux_errno import Errno
from kprobesim.tracing.tracefs.nodes import Directory, File, Node

__all__ = ["debugfs_directory"]

_GOLDEN_RATIO_64: Final = 0x61C8_8646_80B5_83EB
_HASH_BITS: Final = 6


def debugfs_directory(manager: KprobeManager, tracing: Directory, own: Mapping[str, Node]) -> Directory:
    """The tree of debugfs, with tracefs in its old place below it.

    Args:
        manager: whose probes.
        tracing: the root of tracefs.
        own: files of the simulator, which no Linux has; they are in a folder ``kprobesim``.
    """
    files = {
        "blacklist": File(0o400, lambda: _blacklist(manager)),
        "enabled": File(
            0o600,
            lambda: f"{int(not manager.kprobes.all_disarmed)}\n",
            lambda data: manager.kprobes.arm_all_kprobes(_bool(data)),
        ),
        "list": File(0o400, lambda: _list(manager)),
    }
    kprobes, simulator = Directory(lambda: files), Directory(lambda: own, 0o700)
    return Directory(lambda: {"kprobes": kprobes, "kprobesim": simulator, "tracing": tracing}, 0o700)


def _bucket(address: int) -> int:
    """``hash_ptr``: which of the 64 lists of the table an address is in."""
    return (address * _GOLDEN_RATIO_64 & (1 << 64) - 1) >> 64 - _HASH_BITS


def _list(manager: KprobeManager) -> str:
    """One line for each probe, bucket by bucket, the latest first (REG-19, TFS-15)."""
    latest_first = manager.kprobes.sites()[::-1]
    sites = sorted(latest_first, key=lambda site: _bucket(site.addr or 0))
    return "".join(
        _line(manager, probe, site)
        for site in sites
        for probe in (site.children if site.children is not None else [site])
    )


def _line(manager: KprobeManager, probe: Kprobe, site: Kprobe) -> str:
    """``report_probe``; how it is served is a matter of the aggregator, if there is one."""
    address = probe.addr or 0
    place = manager.kernel.kallsyms.lookup_size_offset(address)
    where = f"{place[0].name}+{place[1]:#x}" if place else f"{address:016x}"
    letter = "r" if isinstance(probe.data, Kretprobe) else "k"
    own = {"GONE": KprobeFlag.GONE, "DISABLED": KprobeFlag.DISABLED}
    sites = {"OPTIMIZED": KprobeFlag.OPTIMIZED, "FTRACE": KprobeFlag.FTRACE}
    shown = [name for name, flag in own.items() if probe.flags & flag]
    shown += [name for name, flag in sites.items() if site.flags & flag]
    if "GONE" in shown and "DISABLED" in shown:
        shown.remove("DISABLED")
    module = place[0].module if place and place[0].module else " "
    return f"{address:016x}  {letter}  {where}  {module} {''.join(f'[{name}]' for name in shown)}\n"


def _blacklist(manager: KprobeManager) -> str:
    """One line for each function that cannot be probed (TFS-16)."""
    entries = manager.kprobes.blacklist.entries
    return "".join(f"0x{entry.start:016x}-0x{entry.end:016x}\t{entry.symbol}\n" for entry in entries)


def _bool(data: bytes) -> bool:
    """``kstrtobool``."""
    text = data[:2].decode("latin-1").lower()
    if text[:1] in ("y", "t", "1") or text == "on":
        return True
    if text[:1] in ("n", "f", "0") or text == "of":
        return False
    raise LinuxError(Errno.EINVAL, "This file takes 0 and 1.")
