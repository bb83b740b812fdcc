"""What a helper is: its number, its name, its prototype, and its function; and what it works on."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kprobesim.bpf.environment import Environment
from kprobesim.bpf.errors import MemoryFault
from kprobesim.bpf.maps import ArrayOfMaps, BpfMap, HashOfMaps, ProgArray, RingBuf
from kprobesim.bpf.memory import GuestMemory
from kprobesim.errors import KprobesimError

if TYPE_CHECKING:
    from kprobesim.bpf.interpreter import BoundProgram
    from kprobesim.bpf.program import Program

__all__ = [
    "CALLBACK_BASE",
    "FRAME_SIZE",
    "MAX_BUFFER",
    "MAX_CALL_FRAMES",
    "Around",
    "DepthError",
    "Helper",
    "HelperContext",
]

MAX_BUFFER = 1 << 20
"""Longest buffer a helper will touch, bytes; only unverified programs ask for more."""
CALLBACK_BASE = 0xFFFF_FFFF_C000_0000
"""The interpreter's address of a program's function is this plus 8 times its first slot."""
FRAME_SIZE = 512
"""Bytes of stack of one BPF function (MAX_BPF_STACK)."""
MAX_CALL_FRAMES = 8
"""Deepest nesting of functions, the first included."""


class DepthError(KprobesimError):
    """Calls nest too deep; whoever runs the program turns it into a RunError."""


class HelperContext:
    """What a helper works on.

    Attributes:
        memory: guest memory, where pointers lead.
        env: the machine around the program.
        maps: guest address of a map's head -> map.
        around: called instead of each helper, with the helper, this context and the arguments; it is to call
            ``helper.function(context, *args)`` and to return the result. None: helpers are called directly.
        on_callback: runs a function of the program for a helper: address and five arguments in, R0 out. Set by
            whoever does not run the compiled form.
        bind: gives a program that is tail-called the machine to run in.
        tail_call_cnt: tail calls so far in this run.
        tail_target: where the tail call that has just succeeded leads.
    """

    __slots__ = (
        "around",
        "bind",
        "callbacks",
        "depth",
        "env",
        "executed",
        "fp",
        "maps",
        "memory",
        "on_callback",
        "tail_call_cnt",
        "tail_target",
    )

    def __init__(
        self,
        memory: GuestMemory,
        env: Environment,
        maps: Mapping[int, BpfMap],
        around: "Around | None" = None,
        bind: "Callable[[Program], BoundProgram] | None" = None,
    ) -> None:
        self.memory = memory
        self.env = env
        self.maps = maps
        self.around = around
        self.bind = bind
        self.on_callback: Callable[[int, tuple[int, ...]], int] | None = None
        self.tail_call_cnt = 0
        self.tail_target: Program | None = None
        self.callbacks: Mapping[int, Callable[..., tuple[int, int]]] = {}
        self.fp = self.depth = self.executed = 0

    def entry(self, helper: "Helper") -> Callable[..., int]:
        """What a call of a helper calls: the helper, or what stands around it."""
        around = self.around
        if around is None:
            return helper.function
        return lambda context, *args: around(helper, context, args)

    # Maps by address

    def map_at(self, addr: int) -> BpfMap:
        """The map whose head is at ``addr``; MemoryFault if there is none, which only unverified programs see."""
        found = self.maps.get(addr)
        if found is not None:
            return found
        for other in self._reachable():
            if other.address == addr:
                return other
        raise MemoryFault(addr, 8, write=False)

    def _reachable(self) -> Iterator[BpfMap]:
        """The program's maps, the maps inside of them, and those of programs that it may tail-call."""
        seen: set[int] = set()
        pending = list(self.maps.values())
        while pending:
            found = pending.pop(0)
            if found.address in seen:
                continue
            seen.add(found.address)
            yield found
            if isinstance(found, (ArrayOfMaps, HashOfMaps)):
                pending += found.inside()
            elif isinstance(found, ProgArray):
                pending += [used for program in found.programs() for used in program.used_maps]

    def ring_of(self, sample: int) -> RingBuf:
        """The ring that a reserved sample is in, by the ``pg_off`` of its header; MemoryFault if there is none."""
        header = sample - 8
        pg_off = int.from_bytes(self.memory.read(header + 4, 4), "little")
        ring = (header & -4096) - (pg_off << 12)
        for found in self._reachable():
            if isinstance(found, RingBuf) and found.ring == ring:
                return found
        raise MemoryFault(sample, 8, write=True)

    # Buffers

    def check_buffer(self, addr: int, size: int) -> None:
        """MemoryFault if a helper should not even try to fill ``size`` bytes at ``addr``."""
        if size > MAX_BUFFER:
            raise MemoryFault(addr, size, write=True)

    def read_buffer(self, addr: int, size: int) -> bytes:
        """``size`` bytes that a program hands over; MemoryFault if it has no such memory."""
        self.check_buffer(addr, size)
        return self.memory.read(addr, size) if size else b""

    # Callbacks

    def enter(
        self, callbacks: Mapping[int, Callable[..., tuple[int, int]]], fp: int, depth: int, executed: int
    ) -> None:
        """Compiled code is about to call a helper that may call back: where it stands, and how far it has come."""
        self.callbacks, self.fp, self.depth, self.executed = callbacks, fp, depth, executed

    def call_back(self, function: int, *args: int) -> int:
        """Run a function of the program; R0.

        Args:
            function: its address, as the program gave it.
            args: five numbers for R1 to R5; those that are missing are 0.
        """
        five = (*args, 0, 0, 0, 0, 0)[:5]
        if self.on_callback is not None:
            return self.on_callback(function, five)
        slot, rest = divmod(function - CALLBACK_BASE, 8)
        target = None if rest else self.callbacks.get(slot)
        if target is None:
            raise MemoryFault(function, 8, write=False)
        if self.depth >= MAX_CALL_FRAMES:
            raise DepthError("")
        callbacks, fp, depth = self.callbacks, self.fp, self.depth
        r1, r2, r3, r4, r5 = five
        r0, executed = target(r1, r2, fp - FRAME_SIZE, 0, r3, r4, r5, 0, 0, 0, 0, depth + 1, self.executed)
        self.enter(callbacks, fp, depth, executed)
        return r0

    # Tail calls

    def tail(self, ctx: int, fp: int, executed: int) -> tuple[int, int]:
        """Run the target of a tail call that has succeeded, in the caller's place and on its stack."""
        assert self.tail_target is not None and self.bind is not None
        target = self.bind(self.tail_target)
        kept = target.helpers.tail_call_cnt
        target.helpers.tail_call_cnt = self.tail_call_cnt
        try:
            return target.run_on(ctx, fp, executed)
        finally:
            target.helpers.tail_call_cnt = kept


@dataclass(frozen=True, slots=True)
class Helper:
    """One helper.

    Args:
        id: its number in a call instruction.
        name: without ``bpf_``.
        ret: what it gives; see `Prototype`.
        args: what it takes, a word for each register it looks at.
        gpl_only: whether only programs with a GPL-compatible licence may call it.
        function: called with a HelperContext and one int per argument; gives an int, possibly negative.
        steps: the same as a generator, for a helper that calls functions of the program; see `callbacks`.
    """

    id: int
    name: str
    ret: str
    args: tuple[str, ...]
    gpl_only: bool
    function: Callable[..., Any]
    steps: Callable[..., Generator[tuple[int, ...], int, int]] | None = None


Around = Callable[[Helper, HelperContext, tuple[int, ...]], int]
"""Something that wants to see every call of a helper; see HelperContext."""
