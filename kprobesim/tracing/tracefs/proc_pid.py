"""``/proc/PID``: what the kernel's own structures say of a task.

Follows Linux 6.1 fs/proc/array.c (proc_pid_status, do_task_stat), fs/proc/base.c and task_mmu.c (show_map_vma). What
toyix does not keep is left out of ``status`` and is 0 in ``stat``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Final

from kprobesim.kprobes import RunningKernel
from kprobesim.tracing.tracefs.nodes import Directory, File, Node

__all__ = ["pid_directories"]

_PAGE: Final = 4096
_PF_KTHREAD: Final = 0x0020_0000
_EXIT_ZOMBIE: Final = 0x20
_STATES: Final = {0: "R (running)", 1: "S (sleeping)", 2: "D (disk sleep)"}
_VM_FLAGS: Final = ((1, "r"), (2, "w"), (4, "x"))
_VM_SHARED: Final = 8
_DEPTH: Final = 32
_MAX_TASKS: Final = 4096
_STAT_FIELDS: Final = 52
_SIGNAL_SETS: Final = (("SigBlk", "blocked"), ("SigIgn", "sig_ignored"), ("SigCgt", "sig_caught"))


class _Struct:
    """A structure in guest memory.

    Args:
        kernel: where.
        kind: its name.
        address: where it is.
    """

    def __init__(self, kernel: RunningKernel, kind: str, address: int) -> None:
        self.kernel, self.kind, self.address = kernel, kind, address

    def at(self, member: str) -> int:
        """Address of a member."""
        place = self.kernel.btf.struct_member(self.kind, member)
        assert place is not None, f"struct {self.kind} has no {member}"
        return self.address + place.offset

    def __getitem__(self, member: str) -> int:
        """A member as an unsigned number."""
        place = self.kernel.btf.struct_member(self.kind, member)
        assert place is not None, f"struct {self.kind} has no {member}"
        return int.from_bytes(self.kernel.read(self.address + place.offset, place.size), "little")

    def to(self, kind: str, member: str) -> _Struct | None:
        """What a member points to."""
        address = self[member]
        return _Struct(self.kernel, kind, address) if address else None

    def listed(self, head: int, member: str) -> Iterator[_Struct]:
        """The structures of this kind on the list with this head."""
        offset = self.at(member) - self.address
        node = self.kernel.read_u64(head)
        for _ in range(_MAX_TASKS):
            if node == head:
                return
            yield _Struct(self.kernel, self.kind, node - offset)
            node = self.kernel.read_u64(node)


def pid_directories(kernel: RunningKernel) -> Mapping[str, Node]:
    """A folder for each task, and ``self``; none where the kernel keeps no list of tasks.

    Args:
        kernel: the running kernel.
    """
    if not kernel.has_symbol("init_task") or kernel.btf.struct_member("task_struct", "tasks") is None:
        return {}
    init = _Struct(kernel, "task_struct", kernel.symbol("init_task"))
    tree: dict[str, Node] = {str(task["pid"]): _directory(task) for task in init.listed(init.at("tasks"), "tasks")}
    current = kernel.current(kernel.machine.current_cpu.number)
    if str(current.pid) in tree:
        tree["self"] = tree[str(current.pid)]
    return tree


def _directory(task: _Struct) -> Directory:
    files: dict[str, Node] = {
        "cmdline": File(0o444, functools.partial(_cmdline, task)),
        "comm": File(0o444, lambda: f"{_comm(task)}\n"),
        "maps": File(0o444, functools.partial(_maps, task)),
        "stat": File(0o444, functools.partial(_stat, task)),
        "status": File(0o444, functools.partial(_status, task)),
    }
    return Directory(lambda: files, 0o555)


def _comm(task: _Struct) -> str:
    return task.kernel.read(task.at("comm"), 16).split(b"\0")[0].decode("latin-1")


def _state(task: _Struct) -> str:
    return "Z (zombie)" if task["exit_state"] & _EXIT_ZOMBIE else _STATES.get(task["__state"] & 3, "R (running)")


def _parent(task: _Struct) -> int:
    parent = task.to("task_struct", "real_parent")
    return parent["pid"] if parent is not None else 0


def _status(task: _Struct) -> str:
    """``proc_pid_status``."""
    cred, mm = task.to("cred", "cred"), task.to("mm_struct", "mm")
    ids = {"Uid": "", "Gid": ""}
    if cred is not None:
        ids["Uid"] = "\t".join(str(cred[name]) for name in ("uid", "euid", "suid", "fsuid"))
        ids["Gid"] = "\t".join(str(cred[name]) for name in ("gid", "egid", "sgid", "fsgid"))
    rows = [
        ("Name", _comm(task)),
        ("State", _state(task)),
        ("Tgid", task["tgid"]),
        ("Ngid", 0),
        ("Pid", task["pid"]),
        ("PPid", _parent(task)),
        ("TracerPid", 0),
        *ids.items(),
    ]
    if mm is not None:
        rows += [("VmSize", f"{mm['total_vm'] * 4:8} kB"), ("VmRSS", f"{mm['rss'] * 4:8} kB")]
    rows += [
        ("Threads", 1),
        ("SigPnd", f"{task['pending.signal']:016x}"),
        *((name, f"{task[member]:016x}") for name, member in _SIGNAL_SETS),
        *_confinement(task),
        ("voluntary_ctxt_switches", task["nvcsw"]),
        ("nonvoluntary_ctxt_switches", task["nivcsw"]),
    ]
    return "".join(f"{name}:\t{value}\n" for name, value in rows)


def _confinement(task: _Struct) -> list[tuple[str, int]]:
    """``task_seccomp``; nothing where the kernel does not know of it."""
    if task.kernel.btf.struct_member("task_struct", "seccomp.mode") is None:
        return []
    return [
        ("NoNewPrivs", task["atomic_flags"] & 1),
        ("Seccomp", task["seccomp.mode"]),
        ("Seccomp_filters", task["seccomp.filter_count"]),
    ]


def _stat(task: _Struct) -> str:
    """``do_task_stat``: 52 numbers."""
    mm = task.to("mm_struct", "mm")
    ticks = 1_000_000_000 // 100
    known = {
        3: _state(task)[0],
        4: _parent(task),
        5: task["pgrp"],
        8: -1,
        9: task["flags"],
        10: task["min_flt"],
        14: task["utime"] // ticks,
        15: task["stime"] // ticks,
        18: task["prio"] - 100,
        19: task["static_prio"] - 120,
        20: 1,
        22: task["start_time"] // ticks,
        25: (1 << 64) - 1,
        38: task["exit_signal"],
        39: task["thread_info.cpu"],
    }
    if mm is not None:
        known |= {23: mm["total_vm"] * _PAGE, 24: mm["rss"], 26: mm["start_code"], 27: mm["end_code"]}
        known |= {28: mm["start_stack"], 45: mm["start_data"], 46: mm["end_data"], 47: mm["start_brk"]}
        known |= {48: mm["arg_start"], 49: mm["arg_end"], 50: mm["env_start"], 51: mm["env_end"]}
    rest = " ".join(str(known.get(number, 0)) for number in range(3, _STAT_FIELDS + 1))
    return f"{task['pid']} ({_comm(task)}) {rest}\n"


def _cmdline(task: _Struct) -> bytes:
    """The arguments as they lie on the task's stack, each with a NUL; none for a kernel thread."""
    mm = task.to("mm_struct", "mm")
    if mm is None or task["flags"] & _PF_KTHREAD:
        return b""
    start, size = mm["arg_start"], mm["arg_end"] - mm["arg_start"]
    if not 0 < size <= _PAGE:
        return b""
    root = task.kernel.machine.ram
    return root.read_virtual(_root_of(mm), start, size)


def _root_of(mm: _Struct) -> int:
    """Physical address of the top page table, for reading a task's memory from outside of it."""
    kernel = mm.kernel
    return kernel.machine.ram.translate(kernel.root, mm["pgd"])


def _maps(task: _Struct) -> str:
    """``show_map_vma`` for each area."""
    mm = task.to("mm_struct", "mm")
    if mm is None:
        return ""
    area = _Struct(task.kernel, "vm_area_struct", 0)
    return "".join(_map_line(vma, mm) for vma in area.listed(mm.at("mmap"), "vm_list"))


def _map_line(vma: _Struct, mm: _Struct) -> str:
    start, end, flags, file = vma["vm_start"], vma["vm_end"], vma["vm_flags"], vma.to("file", "vm_file")
    letters = "".join(letter if flags & bit else "-" for bit, letter in _VM_FLAGS)
    letters += "s" if flags & _VM_SHARED else "p"
    device, inode, name = "00:00", 0, ""
    if file is not None:
        dentry = file.to("dentry", "f_path.dentry")
        node = file.to("inode", "f_inode")
        device, inode = "00:01", node["i_ino"] if node is not None else 0
        name = _path(dentry) if dentry is not None else ""
    elif start < mm["start_stack"] <= end:
        name = "[stack]"
    elif start <= mm["brk"] and end >= mm["start_brk"] and mm["brk"] > mm["start_brk"]:
        name = "[heap]"
    offset = vma["vm_pgoff"] * _PAGE if file is not None else 0
    head = f"{start:08x}-{end:08x} {letters} {offset:08x} {device} {inode} "
    return f"{head:<73}{name}\n" if name else f"{head}\n"


def _path(dentry: _Struct) -> str:
    names: list[str] = []
    for _ in range(_DEPTH):
        parent = dentry.to("dentry", "d_parent")
        if parent is None or parent.address == dentry.address:
            break
        names.append(dentry.kernel.read(dentry["d_name.name"], 255).split(b"\0")[0].decode("latin-1"))
        dentry = parent
    return "/" + "/".join(reversed(names))
