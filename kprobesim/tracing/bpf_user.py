"""What user space does with maps beside looking up and storing: it reads rings, fills arrays of objects, and pins.

A tool such as bpftool or a tracer holds descriptors; here maps are known by name. None of this takes guest time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kprobesim.bpf import BpfMap, Program
from kprobesim.bpf.bpffs import BpfFs
from kprobesim.bpf.maps import Lost, PerfConfig, PerfEvent, PerfEventArray, Place, RingBuf, Sample, UserRingBuf
from kprobesim.bpf.maps.syscall import map_update_elem
from kprobesim.errors import BadInput, LinuxError
from kprobesim.linux_errno import Errno

__all__ = ["BpfUser"]


class BpfUser:
    """User space, as far as it reads and fills what programs use.

    Args:
        find: gives a map by its name; raises BadInput.
        place: where perf events get their memory.

    Attributes:
        bpffs: the names under ``/sys/fs/bpf``.
    """

    def __init__(self, find: Callable[[str], BpfMap], place: Callable[[], Place]) -> None:
        self._find = find
        self._place = place
        self.bpffs = BpfFs()
        self._events = 0

    def open_perf_buffer(
        self, name: str, pages: int = 8, config: PerfConfig = PerfConfig.BPF_OUTPUT
    ) -> tuple[PerfEvent, ...]:
        """Open an event on each CPU, as far as the map has places, and store them (libbpf's perf_buffer__new).

        Args:
            name: of a perf event array.
            pages: of each ring, a power of two; 0 only counts.
            config: what the events count.

        Raises:
            BadInput: there is no such map.
            LinuxError: EINVAL, the map is of another type.
        """
        found = self._find(name)
        if not isinstance(found, PerfEventArray):
            raise LinuxError(Errno.EINVAL, f"Map {name} is a {found.spec.type}, not a perf_event_array.")
        opened = []
        for cpu in range(min(found.max_entries, found.host.num_possible_cpus())):
            self._events += 1
            event = PerfEvent(self._place(), cpu, pages, config, self._events)
            map_update_elem(found, cpu.to_bytes(4, "little"), event)
            opened.append(event)
        return tuple(opened)

    def read_perf_buffer(self, name: str) -> list[tuple[int, Sample | Lost]]:
        """Everything that waits in the rings of a perf event array, with its CPU, one CPU after the other."""
        found = self._find(name)
        if not isinstance(found, PerfEventArray):
            raise BadInput(f"Map {name} is a {found.spec.type}, not a perf_event_array.")
        events = [event for index in range(found.max_entries) if (event := found.target(index)) is not None]
        return [(event.cpu, record) for event in events for record in event.consume()]

    def read_ringbuf(self, name: str) -> list[bytes]:
        """All samples of a ring buffer that are complete; they are consumed."""
        return self._ring(name).consume()

    def write_user_ringbuf(self, name: str, sample: bytes) -> bool:
        """Put a sample in for bpf_user_ringbuf_drain; False if there is no room."""
        found = self._ring(name)
        if not isinstance(found, UserRingBuf):
            raise BadInput(f"Map {name} is a {found.spec.type}: programs write it, user space reads.")
        return found.produce(sample)

    def _ring(self, name: str) -> RingBuf:
        found = self._find(name)
        if not isinstance(found, RingBuf):
            raise BadInput(f"Map {name} is a {found.spec.type} and no ring buffer.")
        return found

    def store(self, name: str, key: bytes, target: Program | PerfEvent | BpfMap) -> None:
        """Store an object in a map of programs, perf events or maps.

        Raises:
            LinuxError: what bpf(BPF_MAP_UPDATE_ELEM) would say.
        """
        map_update_elem(self._find(name), key, target)

    def save(self) -> object:
        """Names, and how many events were opened."""
        return self.bpffs.save(), self._events

    def restore(self, state: Any) -> None:
        """Put back what `save` gave."""
        names, self._events = state
        self.bpffs.restore(names)
