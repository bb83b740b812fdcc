"""Tracepoints: the places where the kernel tells whoever wants to know, and who that is.

Follows Linux 6.1 kernel/tracepoint.c. A tracepoint that somebody has registered with has its static branches patched to
jumps; what they lead to is a call of ``__traceiter_NAME``, whose body is here. Raw tracepoint programs register here
directly; a trace event of the same name is one more who does (`kernel_events`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from kprobesim.errors import LinuxError
from kprobesim.image import BtfKind
from kprobesim.kprobes import KprobeManager
from kprobesim.linux_errno import Errno
from kprobesim.machine import Answer, Hypercall, VCpu, each

__all__ = ["Tracepoint", "TracepointProbe", "Tracepoints"]

_VARIABLE: Final = "__tracepoint_"
_STUB: Final = "__traceiter_"
_KEY: Final = 8
_MASK64: Final = (1 << 64) - 1
_IN_REGISTERS: Final = 3

TracepointProbe = Callable[[VCpu, tuple[int, ...]], "Answer | None"]


class _Func(NamedTuple):
    """``struct tracepoint_func``."""

    probe: TracepointProbe
    prio: int


class Tracepoint:
    """``struct tracepoint``.

    Args:
        name: without prefix.
        address: of the variable in the guest.

    Attributes:
        name, address: as given.
        key: address of its static key.
        masks: for each argument the bits that its type has; as in a raw tracepoint's context, none is sign-extended.
        funcs: who is called at a hit, in order.
    """

    def __init__(self, name: str, address: int) -> None:
        self.name = name
        self.address = address
        self.key = address + _KEY
        self.masks: tuple[int, ...] = ()
        self.funcs: tuple[_Func, ...] = ()


class Tracepoints:
    """The tracepoints of one kernel.

    Args:
        manager: whose static branches they use; the kernel's ``__traceiter_`` stubs are bound here.

    Attributes:
        by_name: all there are.
    """

    def __init__(self, manager: KprobeManager) -> None:
        self._kernel = manager.kernel
        self._machine = manager.kernel.machine
        self._jump_labels = manager.kprobes.jump_labels
        self.by_name: dict[str, Tracepoint] = {
            symbol.name.removeprefix(_VARIABLE): Tracepoint(symbol.name.removeprefix(_VARIABLE), symbol.address)
            for symbol in self._kernel.kallsyms
            if symbol.name.startswith(_VARIABLE)
        }
        self._kernel.bind({_STUB + name: self._iterator(tracepoint) for name, tracepoint in self.by_name.items()})

    def find(self, name: str) -> Tracepoint:
        """The tracepoint of this name.

        Raises:
            LinuxError: ENOENT, there is none.
        """
        found = self.by_name.get(name)
        if found is None:
            raise LinuxError(Errno.ENOENT, f"The kernel has no tracepoint {name}.")
        return found

    def argument_sizes(self, name: str) -> tuple[int, ...]:
        """Size in bytes of each argument, from ``btf_trace_NAME`` in the kernel's types; empty if they do not say.

        Raises:
            LinuxError: ENOENT, no such tracepoint.
            ImageError: the kernel's types cannot be read.
        """
        self.find(name)
        btf = self._kernel.btf
        typedef = btf.find(f"btf_trace_{name}", BtfKind.TYPEDEF)
        if typedef is None:
            return ()
        proto = btf.type(btf.type(typedef.target).target)
        # The first one is the listener's own.
        return tuple(btf.size_of(parameter.type_id) for parameter in proto.parameters[1:])

    def register(self, name: str, probe: TracepointProbe, prio: int = 10) -> None:
        """``tracepoint_probe_register_prio``: have a function called at each hit.

        Args:
            name: of the tracepoint.
            probe: called with the CPU and the arguments, each an unsigned number as in a raw tracepoint's context. It
                must not change code: the engine is running. What it answers comes by way of the guest, or is None.
            prio: those with a higher one are called first, of equals those that came first.

        Raises:
            LinuxError: ENOENT, no such tracepoint; EEXIST, the function is registered already.
        """
        tracepoint = self.find(name)
        if any(func.probe == probe for func in tracepoint.funcs):
            raise LinuxError(Errno.EEXIST, f"This function is registered with {name} already.")
        if not tracepoint.masks:
            tracepoint.masks = tuple((1 << 8 * size) - 1 for size in self.argument_sizes(name)) or (_MASK64,) * 3
        first = not tracepoint.funcs
        tracepoint.funcs = tuple(sorted((*tracepoint.funcs, _Func(probe, prio)), key=lambda func: -func.prio))
        if first:
            self._jump_labels.static_key_slow_inc(tracepoint.key)

    def unregister(self, name: str, probe: TracepointProbe) -> None:
        """``tracepoint_probe_unregister``: the reverse; with the last one the branches are nops again.

        Raises:
            LinuxError: ENOENT, no such tracepoint, or it is not registered.
        """
        tracepoint = self.find(name)
        left = tuple(func for func in tracepoint.funcs if func.probe != probe)
        if len(left) == len(tracepoint.funcs):
            raise LinuxError(Errno.ENOENT, f"This function is not registered with {name}.")
        tracepoint.funcs = left
        if not left:
            self._jump_labels.static_key_slow_dec(tracepoint.key)

    def _iterator(self, tracepoint: Tracepoint) -> Hypercall:
        """The body of ``__traceiter_NAME``. A CPU may still come here when the last listener has gone."""

        def hit(cpu: VCpu, first: int, second: int, third: int) -> Answer:
            words: tuple[int, ...] = (first, second, third)
            masks = tracepoint.masks
            if len(masks) > _IN_REGISTERS:
                words += cpu.more_arguments()
            args = tuple(word & mask for word, mask in zip(words, masks, strict=False))
            self._machine.record("tracepoint.hit", {"name": tracepoint.name, "args": list(args)})
            return each(func.probe(cpu, args) for func in tracepoint.funcs)

        return hit

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        return tuple((tracepoint, tracepoint.funcs) for tracepoint in self.by_name.values() if tracepoint.funcs)

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        for tracepoint in self.by_name.values():
            tracepoint.funcs = ()
        for tracepoint, funcs in state:
            tracepoint.funcs = funcs
