"""What a section's name says of the program in it: its type, how it is attached, and where to.

Follows the table that libbpf documents ("Program types and ELF sections"), version 1.1, which goes with Linux 6.1.
"""

from dataclasses import dataclass
from enum import Enum

__all__ = ["AttachKind", "Target", "section_target"]


class AttachKind(Enum):
    """The ways in which libbpf attaches a program by itself; NONE is for those that a program has to do by hand."""

    NONE = "none"
    KPROBE = "kprobe"
    KRETPROBE = "kretprobe"
    KSYSCALL = "ksyscall"
    KRETSYSCALL = "kretsyscall"
    KPROBE_MULTI = "kprobe.multi"
    KRETPROBE_MULTI = "kretprobe.multi"
    UPROBE = "uprobe"
    URETPROBE = "uretprobe"
    USDT = "usdt"
    TRACEPOINT = "tracepoint"
    RAW_TRACEPOINT = "raw_tracepoint"
    TP_BTF = "tp_btf"
    FENTRY = "fentry"
    FEXIT = "fexit"
    FMOD_RET = "fmod_ret"
    PERF_EVENT = "perf_event"
    ITER = "iter"
    LSM = "lsm"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a program belongs.

    Attributes:
        section: the whole name.
        type: program type, out of PROG_TYPES.
        kind: how it is attached.
        extra: what follows the slash: ``vfs_read``, ``sched/sched_switch``, ``/bin/sh:main+4``; empty where the target
            is left to whoever attaches.
        sleepable: whether it may sleep (``uprobe.s``).
        autoload: false for ``?kprobe/...``, which is loaded only when asked for.
    """

    section: str
    type: str
    kind: AttachKind
    extra: str = ""
    sleepable: bool = False
    autoload: bool = True

    @property
    def attach_type(self) -> str:
        """The attach type that the program is loaded with, as bpftool names it; empty for nothing special."""
        return _ATTACH_TYPES.get(self.kind, "")

    @property
    def attach_func(self) -> str:
        """The function or tracepoint that the program is loaded for; empty where any will do."""
        return self.extra if self.type in ("tracing", "lsm") else ""


_K = AttachKind
_ATTACH_TYPES = {
    _K.KPROBE_MULTI: "trace_kprobe_multi",
    _K.KRETPROBE_MULTI: "trace_kprobe_multi",
    _K.TP_BTF: "trace_raw_tp",
    _K.FENTRY: "trace_fentry",
    _K.FEXIT: "trace_fexit",
    _K.FMOD_RET: "modify_return",
    _K.LSM: "lsm_mac",
}
# Each entry: the name, the program type, how it is attached, and "+" if a slash and a target may follow. A name that
# ends in ".s" is for programs that may sleep.
_TABLE: tuple[tuple[str, str, AttachKind, str], ...] = (
    ("kprobe", "kprobe", _K.KPROBE, "+"),
    ("kretprobe", "kprobe", _K.KRETPROBE, "+"),
    ("kprobe.multi", "kprobe", _K.KPROBE_MULTI, "+"),
    ("kretprobe.multi", "kprobe", _K.KRETPROBE_MULTI, "+"),
    ("ksyscall", "kprobe", _K.KSYSCALL, "+"),
    ("kretsyscall", "kprobe", _K.KRETSYSCALL, "+"),
    ("uprobe", "kprobe", _K.UPROBE, "+"),
    ("uprobe.s", "kprobe", _K.UPROBE, "+"),
    ("uretprobe", "kprobe", _K.URETPROBE, "+"),
    ("uretprobe.s", "kprobe", _K.URETPROBE, "+"),
    ("usdt", "kprobe", _K.USDT, "+"),
    ("usdt.s", "kprobe", _K.USDT, "+"),
    ("tracepoint", "tracepoint", _K.TRACEPOINT, "+"),
    ("tp", "tracepoint", _K.TRACEPOINT, "+"),
    ("raw_tracepoint", "raw_tracepoint", _K.RAW_TRACEPOINT, "+"),
    ("raw_tp", "raw_tracepoint", _K.RAW_TRACEPOINT, "+"),
    ("raw_tracepoint.w", "raw_tracepoint_writable", _K.RAW_TRACEPOINT, "+"),
    ("raw_tp.w", "raw_tracepoint_writable", _K.RAW_TRACEPOINT, "+"),
    ("tp_btf", "tracing", _K.TP_BTF, "+"),
    ("fentry", "tracing", _K.FENTRY, "+"),
    ("fentry.s", "tracing", _K.FENTRY, "+"),
    ("fexit", "tracing", _K.FEXIT, "+"),
    ("fexit.s", "tracing", _K.FEXIT, "+"),
    ("fmod_ret", "tracing", _K.FMOD_RET, "+"),
    ("fmod_ret.s", "tracing", _K.FMOD_RET, "+"),
    ("iter", "tracing", _K.ITER, "+"),
    ("iter.s", "tracing", _K.ITER, "+"),
    ("lsm", "lsm", _K.LSM, "+"),
    ("lsm.s", "lsm", _K.LSM, "+"),
    ("lsm_cgroup", "lsm", _K.NONE, "+"),
    ("freplace", "ext", _K.NONE, "+"),
    ("perf_event", "perf_event", _K.PERF_EVENT, ""),
    ("syscall", "syscall", _K.NONE, ""),
    ("struct_ops", "struct_ops", _K.NONE, "+"),
    ("socket", "socket_filter", _K.NONE, ""),
    ("sk_reuseport", "sk_reuseport", _K.NONE, "+"),
    ("tc", "sched_cls", _K.NONE, ""),
    ("classifier", "sched_cls", _K.NONE, ""),
    ("action", "sched_act", _K.NONE, ""),
    ("xdp", "xdp", _K.NONE, "+"),
    ("xdp.frags", "xdp", _K.NONE, "+"),
    ("lwt_in", "lwt_in", _K.NONE, ""),
    ("lwt_out", "lwt_out", _K.NONE, ""),
    ("lwt_xmit", "lwt_xmit", _K.NONE, ""),
    ("lwt_seg6local", "lwt_seg6local", _K.NONE, ""),
    ("sockops", "sock_ops", _K.NONE, ""),
    ("sk_skb", "sk_skb", _K.NONE, "+"),
    ("sk_msg", "sk_msg", _K.NONE, ""),
    ("lirc_mode2", "lirc_mode2", _K.NONE, ""),
    ("flow_dissector", "flow_dissector", _K.NONE, ""),
    ("cgroup_skb", "cgroup_skb", _K.NONE, "+"),
    ("cgroup/skb", "cgroup_skb", _K.NONE, ""),
    ("cgroup/sock", "cgroup_sock", _K.NONE, ""),
    ("cgroup/dev", "cgroup_device", _K.NONE, ""),
    ("cgroup/sysctl", "cgroup_sysctl", _K.NONE, ""),
    ("sk_lookup", "sk_lookup", _K.NONE, ""),
)
_LONGEST_FIRST = tuple(sorted(_TABLE, key=lambda row: -len(row[0])))


def section_target(section: str) -> Target | None:
    """What a section's name says; None for a name that stands for nothing."""
    autoload = not section.startswith("?")
    name = section.removeprefix("?")
    for known, prog_type, kind, follows in _LONGEST_FIRST:
        if name == known:
            return Target(section, prog_type, kind, "", known.endswith(".s"), autoload)
        if follows and name.startswith(f"{known}/"):
            extra = name[len(known) + 1 :]
            return Target(section, prog_type, kind, extra, known.endswith(".s"), autoload)
    return None
