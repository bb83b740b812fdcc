"""BPF_PROG_LOAD on the host's side: a program out of the attributes that the guest's ``bpf_prog.c`` has copied.

Follows Linux kernel/bpf/syscall.c:bpf_prog_load and what kernel/bpf/verifier.c:bpf_check does with its attributes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from kprobesim.bpf import PROG_TYPES, BpfMap, Insn, LoadError, Program, decode, prog_tag
from kprobesim.bpf.isa import Pseudo, is_lddw
from kprobesim.bpf.jit import JitError, array_lookups
from kprobesim.bpf.object.verify import replace_dead_code
from kprobesim.bpf.packet_program import PACKET_TYPES, PacketProgram, convert_packet_access
from kprobesim.bpf.program import GPL_COMPATIBLE
from kprobesim.bpf.verifier import Verdict, map_meta_of, verify
from kprobesim.errors import LinuxError
from kprobesim.image import Btf
from kprobesim.linux_errno import Errno

__all__ = ["ATTACH_TYPES", "ATTR_SIZE", "LoadRequest", "Loaded", "MapRef", "load_program", "obj_name"]

_ATTR: Final = struct.Struct("<IIQQIIQII16sIIIIQIIQIIIIQQI")
ATTR_SIZE: Final = 144
_STRICT_ALIGNMENT, _TEST_STATE_FREQ, _SLEEPABLE = 1 << 0, 1 << 3, 1 << 4
_BY_INDEX: Final = (Pseudo.MAP_IDX, Pseudo.MAP_IDX_VALUE)
_DIRECT: Final[Mapping[int, int]] = {Pseudo.MAP_IDX: Pseudo.MAP_FD, Pseudo.MAP_IDX_VALUE: Pseudo.MAP_VALUE}

_NAMES = """
    cgroup_inet_ingress cgroup_inet_egress cgroup_inet_sock_create cgroup_sock_ops sk_skb_stream_parser
    sk_skb_stream_verdict cgroup_device sk_msg_verdict cgroup_inet4_bind cgroup_inet6_bind cgroup_inet4_connect
    cgroup_inet6_connect cgroup_inet4_post_bind cgroup_inet6_post_bind cgroup_udp4_sendmsg cgroup_udp6_sendmsg
    lirc_mode2 flow_dissector cgroup_sysctl cgroup_udp4_recvmsg cgroup_udp6_recvmsg cgroup_getsockopt
    cgroup_setsockopt trace_raw_tp trace_fentry trace_fexit modify_return lsm_mac trace_iter cgroup_inet4_getpeername
    cgroup_inet6_getpeername cgroup_inet4_getsockname cgroup_inet6_getsockname xdp_devmap cgroup_inet_sock_release
    xdp_cpumap sk_lookup xdp sk_skb_verdict sk_reuseport_select sk_reuseport_select_or_migrate perf_event
    trace_kprobe_multi lsm_cgroup
"""
ATTACH_TYPES: Final = tuple(_NAMES.split())
"""Names of the attach types of Linux 6.1; the index is the number in ``expected_attach_type``."""


class MapRef(NamedTuple):
    """A map that a 64-bit load names by a descriptor: the map, or why the descriptor is none (a negative errno)."""

    map: BpfMap | None
    error: int


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """What BPF_PROG_LOAD is asked for.

    Attributes:
        attr: ``union bpf_attr``, 144 bytes.
        insns: the instructions' bytes.
        license: as the user gave it.
        refs: by the slot of the load.
    """

    attr: bytes
    insns: bytes
    license: str
    refs: Mapping[int, MapRef]


class Loaded(NamedTuple):
    """What comes of a request: the verifier's log, and the program or why there is none.

    Attributes:
        log: as the user gets it, without the zero at its end.
        program: None if it was refused.
        error: why.
        processed: how many instructions the verifier processed.
    """

    log: bytes
    program: Program | None
    error: LinuxError | None = None
    processed: int = 0


def obj_name(raw: bytes) -> str:
    """The name in an attribute (bpf_obj_name_cpy).

    Raises:
        LinuxError: EINVAL, no zero in its 16 bytes, or something but letters, digits, dots and underscores.
    """
    name, zero, _ = raw.partition(b"\0")
    if not zero or not re.fullmatch(rb"[A-Za-z0-9_.]*", name):
        raise LinuxError(Errno.EINVAL, "A name has at most 15 letters, digits, dots and underscores.")
    return name.decode("ascii")


def _attach_type(number: int) -> str:
    if number >= len(ATTACH_TYPES):
        raise LinuxError(Errno.EINVAL, f"There is no attach type {number}.")
    return ATTACH_TYPES[number] if number else ""


def load_program(request: LoadRequest, name: str, btf: Btf) -> Loaded:
    """Verify a program and make it ready to run.

    Args:
        request: what is wanted.
        name: by which it will be known; no other program's.
        btf: the kernel's types.

    Returns:
        The program or the refusal; nothing is raised for what a user may pass.
    """
    fields = _ATTR.unpack_from(request.attr)
    prog_type, _count, _insns, _license, level, size, log_buf, _version, flags = fields[:9]
    ifindex, attach = fields[10:12]
    try:
        if ifindex or not 0 < prog_type < len(PROG_TYPES):
            raise LinuxError(Errno.EINVAL, f"There is no program type {prog_type}.")
        if fields[15] or fields[18]:
            raise LinuxError(Errno.EINVAL, "There is no BPF_BTF_LOAD, so no descriptor is one of types.")
        if fields[19] or fields[20]:
            raise LinuxError(Errno.EINVAL, "Kernel functions cannot be named by the number of their type here.")
        if (level or log_buf or size) and not (level and log_buf):
            raise LinuxError(Errno.EINVAL, "A log needs a level, and a buffer.")
        attach_type = _attach_type(attach)
    except LinuxError as error:
        return Loaded(b"", None, error)
    insns = tuple(decode(request.insns))
    options: dict[str, Any] = {"log_level": level, "log_size": size if level else 0, "attach_type": attach_type}
    options |= {"strict_alignment": bool(flags & _STRICT_ALIGNMENT), "sleepable": bool(flags & _SLEEPABLE)}
    options |= {"test_state_freq": bool(flags & _TEST_STATE_FREQ), "btf": btf, "kprobe_override": True}
    metas = {slot: map_meta_of(ref.map) for slot, ref in request.refs.items() if ref.map is not None}
    verdict = verify(insns, PROG_TYPES[prog_type], metas, gpl_compatible=request.license in GPL_COMPATIBLE, **options)
    log = verdict.log.encode("latin-1", "replace")
    if verdict.rejected is not None:
        return Loaded(log, None, _descriptor_error(verdict.rejected, request))
    try:
        program = _make(name, PROG_TYPES[prog_type], insns, request, verdict)
    except LoadError as error:
        return Loaded(log + f"{error.message}\n".encode() if level else log, None, error)
    except JitError as error:
        return Loaded(log, None, LinuxError(Errno.EINVAL, str(error)))
    return Loaded(log, program, None, verdict.stats.insn_processed)


def _descriptor_error(rejected: LoadError, request: LoadRequest) -> LinuxError:
    """The verifier knows maps only; what was wrong with a descriptor the kernel has found out."""
    ref = request.refs.get(-1 if rejected.insn is None else rejected.insn)
    if ref is not None and ref.error and "not pointing to valid bpf_map" in rejected.message:
        return LinuxError(Errno.of(-ref.error), rejected.message)
    return rejected


def _make(name: str, prog_type: str, insns: tuple[Insn, ...], request: LoadRequest, verdict: Verdict) -> Program:
    """The program with its maps by their addresses.

    Raises:
        LoadError: it uses what this machine does not have.
    """
    maps: dict[int, BpfMap] = {}
    numbered = list(replace_dead_code(insns, verdict.seen))
    for slot, ref in request.refs.items():
        if ref.map is not None and is_lddw(numbered[slot]):
            # Descriptors mean nothing any more: maps are numbered by the slot that names them.
            source = _DIRECT.get(insns[slot].src, insns[slot].src)
            numbered[slot] = insns[slot]._replace(src=source, imm=slot)
            maps[slot] = ref.map
    program: Program
    if prog_type in PACKET_TYPES:
        converted = convert_packet_access(numbered, verdict.ctx_accesses)
        program = PacketProgram(name, prog_type, converted, maps, request.license)
    else:
        program = Program(name, prog_type, numbered, maps, request.license)
        program.array_lookups = array_lookups(program.insns, verdict.helper_maps)
    program.tag = prog_tag(insns)
    program.max_ctx_offset = verdict.max_ctx_offset
    depths = verdict.stats.stack_depths
    program.stack_depth = depths[0] if len(depths) == 1 else 0
    return program
