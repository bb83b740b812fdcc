"""Arrays of kernel objects: user space stores a file descriptor, the array holds a pointer.

BPF_MAP_TYPE_PROG_ARRAY and BPF_MAP_TYPE_PERF_EVENT_ARRAY; follows Linux kernel/bpf/arraymap.c (fd_array_*) and
kernel/bpf/core.c:bpf_prog_map_compatible. The pointers (8 bytes each, ``array->ptrs``) are guest memory; which object
each stands for is Python state.
"""

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from kprobesim.bpf.maps.array import IndexedMap
from kprobesim.bpf.maps.base import MapSpec, Place
from kprobesim.bpf.maps.flags import UpdateFlag
from kprobesim.bpf.maps.perf_buffer import PerfEvent
from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.program import Program

__all__ = ["FdArray", "PerfEventArray", "ProgArray", "ReadableFdArray"]


class KernelObject(Protocol):
    """What a pointer can stand for."""

    @property
    def address(self) -> int:
        """Its guest address."""


class NumberedObject(KernelObject, Protocol):
    """What user space knows by a number."""

    @property
    def id(self) -> int:
        """That number."""


Target = TypeVar("Target", bound=KernelObject)
Numbered = TypeVar("Numbered", bound=NumberedObject)


class FdArray(IndexedMap, Generic[Target]):
    """What they share. ``Target`` is the kind of object."""

    def __init__(self, spec: MapSpec, number: int, place: Place) -> None:
        super().__init__(spec, number, place, 8)
        self._targets: dict[int, Target] = {}

    def target(self, index: int) -> Target | None:
        """The object at an index; None if there is none, also past the end."""
        return self._targets.get(index)

    def _accept(self, target: Target) -> int:
        """0, or why the object is not taken."""
        return 0

    def update_fd(self, key: bytes, target: Target, flags: int = UpdateFlag.ANY) -> int:
        """Store an object; EINVAL for flags and misfits, E2BIG past the end (bpf_fd_array_map_update_elem)."""
        if flags != UpdateFlag.ANY:
            return -Errno.EINVAL
        index = int.from_bytes(key, "little")
        if index >= self.max_entries:
            return -Errno.E2BIG
        refusal = self._accept(target)
        if refusal:
            return refusal
        self._targets = {**self._targets, index: target}
        self.memory.write(self.element(key), target.address.to_bytes(8, "little"))
        return 0

    def delete_elem(self, key: bytes) -> int:
        """See BpfMap; E2BIG past the end, ENOENT for an empty place (fd_array_map_delete_elem)."""
        index = int.from_bytes(key, "little")
        if index >= self.max_entries:
            return -Errno.E2BIG
        if index not in self._targets:
            return -Errno.ENOENT
        self._targets = {at: target for at, target in self._targets.items() if at != index}
        self.memory.write(self.element(key), bytes(8))
        return 0

    def lookup_elem(self, key: bytes) -> int:
        """No program may look: NULL."""
        return 0

    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """No program may store."""
        return -Errno.EINVAL

    def sys_update(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """A bare number is no descriptor here: EBADF. See `update_fd`."""
        return -Errno.EBADF

    def read_value(self, key: bytes) -> bytes | None:
        """See BpfMap: without map_fd_sys_lookup_elem it cannot be read (bpf_fd_array_map_lookup_elem)."""
        raise LinuxError(Errno.ENOTSUPP, f"What a {self.spec.type} holds cannot be read back.")

    def _save(self) -> object:
        return self._targets

    def _restore(self, state: Any) -> None:
        self._targets = state


class ReadableFdArray(FdArray[Numbered]):
    """An array whose objects have a number that user space may ask for."""

    def read_value(self, key: bytes) -> bytes | None:
        """See BpfMap: the object's id (bpf_fd_array_map_lookup_elem)."""
        target = self.target(int.from_bytes(key, "little"))
        return None if target is None else target.id.to_bytes(4, "little")


class ProgArray(ReadableFdArray["Program"]):
    """Programs to tail-call.

    The first one, or the first to use the array, decides of which type all are, and whether they are machine code.
    """

    def __init__(self, spec: MapSpec, number: int, place: Place) -> None:
        super().__init__(spec, number, place)
        self._owner: tuple[str, bool] | None = None

    def compatible(self, program: "Program") -> bool:
        """Whether a program may be stored here, or may call what is here; decides for good at the first call."""
        if program.kprobe_override:
            return False
        kind = program.type, bool(program.address)
        self._owner = self._owner or kind
        return self._owner == kind

    def programs(self) -> tuple["Program", ...]:
        """The programs that are here, by index."""
        return tuple(target for _, target in sorted(self._targets.items()))

    def _accept(self, target: "Program") -> int:
        return 0 if self.compatible(target) else -Errno.EINVAL

    def _save(self) -> object:
        return super()._save(), self._owner

    def _restore(self, state: Any) -> None:
        targets, self._owner = state
        super()._restore(targets)


class PerfEventArray(FdArray[PerfEvent]):
    """Perf events, as a rule one for each CPU, for bpf_perf_event_output and bpf_perf_event_read."""

    def _save(self) -> object:
        events = sorted(self._targets.items())
        return super()._save(), tuple((event, event.save()) for _, event in events)

    def _restore(self, state: Any) -> None:
        targets, events = state
        super()._restore(targets)
        for event, saved in events:
            event.restore(saved)
