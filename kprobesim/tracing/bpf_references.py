"""How long programs and maps live that came in by bpf(2): as long as somebody has them.

That can be the guest (descriptors, sockets, calls under way: it counts itself), a name under ``/sys/fs/bpf``, an
attachment, a program that uses a map, a map that holds a program or a map. What the lab has loaded stays in any case.
Linux counts all of these in one number (bpf_map_put, bpf_prog_put); here the host's part is looked up.
"""

from __future__ import annotations

from typing import Any, Final

from kprobesim.bpf import BpfMap, Program
from kprobesim.bpf.maps import ArrayOfMaps, HashOfMaps, ProgArray
from kprobesim.kprobes import RunningKernel
from kprobesim.tracing.bpf import BpfPrograms

__all__ = ["MOST_LOADING", "REFCNT_AT", "BpfReferences"]

REFCNT_AT: Final = 128
"""Where a map's head has the guest's count."""
MOST_LOADING: Final = 16
"""Of so many tasks it is kept what they are about to fetch: a program, a log."""


class BpfReferences:
    """Who holds what.

    Args:
        kernel: whose memory has the guest's counts.
        programs: all programs and maps.
    """

    def __init__(self, kernel: RunningKernel, programs: BpfPrograms) -> None:
        self._kernel = kernel
        self._programs = programs
        self._maps: frozenset[int] = frozenset()
        self._loaded: frozenset[int] = frozenset()
        self._held: dict[int, int] = {}
        self._fresh: dict[int, int] = {}

    def own_map(self, made: BpfMap) -> None:
        """A map has come in by bpf(2)."""
        self._maps |= {made.id}

    def own_program(self, program: Program, task: int) -> None:
        """A program has. It stays for the task that has loaded it, which will ask for it at once."""
        self._loaded |= {program.id}
        self._fresh.pop(task, None)
        self._fresh[task] = program.id
        while len(self._fresh) > MOST_LOADING:
            del self._fresh[next(iter(self._fresh))]

    def hold(self, found: BpfMap) -> None:
        """The guest takes a reference to a map."""
        count = self._count(found) + 1
        self._kernel.write(found.address + REFCNT_AT, count.to_bytes(4, "little"))

    def _count(self, found: BpfMap) -> int:
        return int.from_bytes(self._kernel.read(found.address + REFCNT_AT, 4), "little")

    def map_released(self, found: BpfMap) -> None:
        """The guest has given back its last reference to a map."""
        if isinstance(found, ProgArray) and found.id in self._maps and not self._in_use(found):
            # Programs could keep the array that keeps them: without users it is emptied (prog_array_map_clear).
            for key in [*found.keys()]:
                found.delete_elem(key)
        self.collect()

    def _in_use(self, found: BpfMap) -> bool:
        return bool(self._count(found) or self._programs.user.bpffs.paths_of(found))

    def program_held(self, program: Program) -> None:
        """The guest has made a struct bpf_prog of a program."""
        self._held[program.id] = self._held.get(program.id, 0) + 1
        self._fresh = {task: number for task, number in self._fresh.items() if number != program.id}

    def program_released(self, number: int) -> None:
        """The guest has freed one."""
        self._held[number] -= 1
        if not self._held[number]:
            del self._held[number]
        self.collect()

    def collect(self) -> None:
        """Free what nobody holds any more."""
        while self._free_one_round():
            pass

    def _free_one_round(self) -> bool:
        programs, maps = [*self._programs.programs.values()], [*self._programs.maps.items()]
        linked = {link.program for link in self._programs.ids.links}
        inside = {id(held) for _, one in maps for held in _contents(one)}
        names = self._programs.user.bpffs
        for program in programs:
            needed = program.id in self._held or program.name in linked or id(program) in inside
            needed = needed or program.id in self._fresh.values()
            if program.id in self._loaded and not needed and not names.paths_of(program):
                self._loaded -= {program.id}
                self._programs.remove_program(program.name)
                return True
        used = {id(one) for program in programs for one in program.used_maps}
        for key, one in maps:
            if one.id in self._maps and id(one) not in used | inside and not self._in_use(one):
                self._maps -= {one.id}
                self._programs.remove_map(key)
                return True
        return False

    def save(self) -> object:
        """All state that is not in guest memory."""
        return self._maps, self._loaded, dict(self._held), dict(self._fresh)

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self._maps, self._loaded, held, fresh = state
        self._held, self._fresh = dict(held), dict(fresh)


def _contents(found: BpfMap) -> tuple[Program | BpfMap, ...]:
    """The programs or maps that a map holds."""
    if isinstance(found, ProgArray):
        return found.programs()
    return found.inside() if isinstance(found, (ArrayOfMaps, HashOfMaps)) else ()
