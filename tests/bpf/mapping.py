"""A place to make maps in: memory, an arena, a host with several CPUs."""

from dataclasses import dataclass, field
from typing import Any

from kprobesim.bpf import Arena, BenchEnvironment, BpfMap, FlatMemory, MapSpec, create_map

BASE = 0x100000
SIZE = 1 << 20


@dataclass
class Ground:
    cpus: int = 1
    size: int = SIZE
    memory: FlatMemory = field(init=False)
    arena: Arena = field(init=False)
    host: BenchEnvironment = field(init=False)

    def __post_init__(self) -> None:
        self.memory, self.arena, self.host = FlatMemory(BASE, self.size), Arena(BASE, self.size), BenchEnvironment()
        self.host.cpus = self.cpus

    def make(
        self, kind: str, key: int = 4, value: int = 8, entries: int = 4, flags: int = 0, *, extra: int = 0,
        inner: BpfMap | None = None, name: str = "m",
    ) -> Any:  # fmt: skip
        """A map; ``Any``, as each test knows of which class it is."""
        spec = MapSpec(kind, key, value, entries, flags, name, extra)
        return create_map(spec, self.memory, self.arena, 1, self.host, inner)

    def save(self) -> tuple[object, object]:
        return self.memory.save(), self.arena.save()

    def restore(self, state: tuple[object, object]) -> None:
        self.memory.restore(state[0])
        self.arena.restore(state[1])

    def told(self) -> list[str]:
        return [kind for kind, _ in self.host.told]


def k(number: int) -> bytes:
    return number.to_bytes(4, "little")


def v(number: int) -> bytes:
    return number.to_bytes(8, "little")
