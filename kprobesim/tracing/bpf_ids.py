"""Numbers of programs, maps, types and links, and what else bpf(BPF_OBJ_GET_INFO_BY_FD) tells of them.

Numbers are never given twice, as in Linux, where an idr gives the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kprobesim.bpf.object import Function, LineInfo
from kprobesim.image import Btf

__all__ = ["BpfIds", "BtfInfo", "LinkInfo", "MapTypes", "ProgramInfo", "ProgramTypes"]

_VMLINUX: Final = 1


@dataclass(frozen=True, slots=True)
class ProgramTypes:
    """What a program's object says of it.

    Attributes:
        btf_id: number of the object's types.
        functions, lines: see kprobesim.bpf.object.ObjectProgram.
    """

    btf_id: int
    functions: tuple[Function, ...]
    lines: tuple[LineInfo, ...]


@dataclass(frozen=True, slots=True)
class MapTypes:
    """What a map's object says of it: number of its types, and the ids of key and value among them (0: not said)."""

    btf_id: int
    key: int
    value: int
    frozen: bool


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """A loaded program: its number, virtual nanoseconds at which it was loaded, its types."""

    id: int
    loaded_ns: int
    types: ProgramTypes | None


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """A program's attachment, and the number of its link.

    Attributes:
        id: of the link.
        owner: what stands for the attachment.
        program: the program's name.
        type: ``perf_event``, ``raw_tracepoint``, ``tracing``: as bpftool prints it.
        event: for a perf event what bpf(BPF_TASK_FD_QUERY) says of it, ``fd_type`` first.
        info: for a link of type tracing what ``struct bpf_link_info`` has: attach type, and which type it is on.
    """

    id: int
    owner: object
    program: str
    type: str
    event: Mapping[str, str | int]
    info: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BtfInfo:
    """Types that were loaded: their number, the object's name, the size of their section in bytes."""

    id: int
    name: str
    btf: Btf
    size: int


class BpfIds:
    """What is known of all objects, by the names by which the lab knows programs and maps.

    Attributes:
        programs: by name.
        map_types: by name, for maps that come from an object.
        links: in the order of their numbers.
        btfs: types by number.
    """

    def __init__(self) -> None:
        self._last_program = 0
        self._last_map = 0
        self._last_link = 0
        self._last_btf = _VMLINUX
        self.programs: dict[str, ProgramInfo] = {}
        self.map_types: dict[str, MapTypes] = {}
        self.links: list[LinkInfo] = []
        self.btfs: dict[int, BtfInfo] = {}

    def next_map(self) -> int:
        """The number of a map about to be made."""
        self._last_map += 1
        return self._last_map

    def add_program(self, name: str, ns: int, types: ProgramTypes | None) -> None:
        """Give a program its number."""
        self._last_program += 1
        self.programs[name] = ProgramInfo(self._last_program, ns, types)

    def add_link(
        self, owner: object, program: str, event: Mapping[str, str | int], link_type: str = "perf_event"
    ) -> None:
        """Give an attachment its number; see LinkInfo. For a link of type tracing ``event`` is its ``info``."""
        self._last_link += 1
        info, event = (event, {}) if link_type == "tracing" else ({}, event)
        self.links.append(LinkInfo(self._last_link, owner, program, link_type, event, info))

    def remove_link(self, owner: object) -> None:
        """Forget an attachment."""
        self.links = [link for link in self.links if link.owner is not owner]

    def add_btf(self, name: str, btf: Btf, size: int) -> int:
        """Give types a number."""
        self._last_btf += 1
        self.btfs[self._last_btf] = BtfInfo(self._last_btf, name, btf, size)
        return self._last_btf

    def save(self) -> object:
        """All of it."""
        last = self._last_program, self._last_map, self._last_link, self._last_btf
        return last, dict(self.programs), dict(self.map_types), tuple(self.links), dict(self.btfs)

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        last, programs, map_types, links, btfs = state
        self._last_program, self._last_map, self._last_link, self._last_btf = last
        self.programs, self.map_types = dict(programs), dict(map_types)
        self.links, self.btfs = list(links), dict(btfs)
