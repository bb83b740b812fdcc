"""What a helper is: its number, its name, its prototype as data for a verifier, and its function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kprobesim.bpf.environment import Environment
from kprobesim.bpf.errors import MemoryFault
from kprobesim.bpf.maps import BpfMap
from kprobesim.bpf.memory import GuestMemory

__all__ = ["MAX_BUFFER", "Arg", "Helper", "HelperContext", "Ret"]

MAX_BUFFER = 1 << 20
"""Longest buffer a helper will touch, bytes; only unverified programs ask for more."""


class Arg(Enum):
    """Type of an argument: ``enum bpf_arg_type`` of Linux include/linux/bpf.h, with its flags spelled out."""

    ANYTHING = "ANYTHING"
    CONST_MAP_PTR = "CONST_MAP_PTR"
    PTR_TO_MAP_KEY = "PTR_TO_MAP_KEY"
    PTR_TO_MAP_VALUE = "PTR_TO_MAP_VALUE"
    PTR_TO_MEM_RDONLY = "PTR_TO_MEM | MEM_RDONLY"
    PTR_TO_UNINIT_MEM = "PTR_TO_UNINIT_MEM"
    PTR_TO_CTX = "PTR_TO_CTX"
    CONST_SIZE = "CONST_SIZE"
    CONST_SIZE_OR_ZERO = "CONST_SIZE_OR_ZERO"


class Ret(Enum):
    """Type of the result: ``enum bpf_return_type``."""

    INTEGER = "INTEGER"
    PTR_TO_MAP_VALUE_OR_NULL = "PTR_TO_MAP_VALUE_OR_NULL"


class HelperContext:
    """What a helper works on.

    Attributes:
        memory: guest memory, where pointers lead.
        env: the machine around the program.
        maps: guest address of a map's head -> map.
        around: called instead of each helper, with the helper, this context and the arguments; it is to call
            ``helper.function(context, *args)`` and to return the result. None: helpers are called directly.
    """

    __slots__ = ("around", "env", "maps", "memory")

    def __init__(
        self, memory: GuestMemory, env: Environment, maps: Mapping[int, BpfMap], around: "Around | None" = None
    ) -> None:
        self.memory = memory
        self.env = env
        self.maps = maps
        self.around = around

    def entry(self, helper: "Helper") -> Callable[..., int]:
        """What a call of a helper calls: the helper, or what stands around it."""
        around = self.around
        if around is None:
            return helper.function
        return lambda context, *args: around(helper, context, args)

    def map_at(self, addr: int) -> BpfMap:
        """The map whose head is at ``addr``; MemoryFault if there is none, which only unverified programs see."""
        found = self.maps.get(addr)
        if found is None:
            raise MemoryFault(addr, 8, write=False)
        return found

    def check_buffer(self, addr: int, size: int) -> None:
        """MemoryFault if a helper should not even try to fill ``size`` bytes at ``addr``."""
        if size > MAX_BUFFER:
            raise MemoryFault(addr, size, write=True)


@dataclass(frozen=True, slots=True)
class Helper:
    """One helper.

    Args:
        id: its number in a call instruction.
        name: without ``bpf_``.
        ret: type of the result.
        args: types of the arguments, at most five.
        gpl_only: whether only programs with a GPL-compatible licence may call it.
        function: called with a HelperContext and one int per argument.
    """

    id: int
    name: str
    ret: Ret
    args: tuple[Arg, ...]
    gpl_only: bool
    function: Callable[..., Any]


Around = Callable[[Helper, HelperContext, tuple[int, ...]], int]
"""Something that wants to see every call of a helper; see HelperContext."""
