"""Programs as x86-64 code in the kernel's memory.

Follows Linux kernel/bpf/core.c (bpf_prog_pack_alloc, bpf_prog_ksym_set_name) and arch/x86/net/bpf_jit_comp.c
(bpf_int_jit_compile): programs share executable pages in chunks of 64 bytes, and each function of a program is a symbol
``bpf_prog_<tag>_<name>`` of the module ``bpf``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from kprobesim.bpf import Insn, Program
from kprobesim.bpf.helper_names import HELPER_NAMES
from kprobesim.bpf.helpers.skb_calls import SKB_CALLS
from kprobesim.bpf.jit import CHUNK_SIZE, JitError, JitProgram, blind_constants, do_misc_fixups, jit_insns
from kprobesim.bpf.maps.array import ArrayMap
from kprobesim.errors import LinuxError
from kprobesim.image import Symbol
from kprobesim.kprobes import RunningKernel
from kprobesim.kprobes.kernel import DIRECT_MAP
from kprobesim.linux_errno import Errno
from kprobesim.machine import PAGE_SIZE

__all__ = ["BpfJit", "JitedCode"]

_HEADER: Final = 8
_HARDEN_ALL: Final = 2
_WATCHED_SIZE: Final = 4096


class WatchedArray(NamedTuple):
    """A small array that machine code finds elements of by itself, so that no helper will see a change.

    Attributes:
        map: the array.
        start, end: physical addresses of its elements; the latter is not included.
    """

    map: ArrayMap
    start: int
    end: int


class JitedCode(NamedTuple):
    """A program's machine code in the kernel.

    Attributes:
        code: the functions and where each is.
        origin: slot of ``code.insns`` -> slot of the program.
        symbols: in kallsyms, one for each function.
        arrays: what it may change without a call.
    """

    code: JitProgram
    origin: tuple[int, ...]
    symbols: tuple[Symbol, ...]
    arrays: tuple[WatchedArray, ...]

    def slot_at(self, address: int) -> int | None:
        """Slot of the program's instruction whose code is at ``address``; None in a prologue or elsewhere."""
        slot = self.code.slot_at(address)
        return None if slot is None else self.origin[slot]


class BpfJit:
    """The JIT compiler's part of a running kernel.

    Args:
        kernel: the running kernel.

    Attributes:
        enabled: ``net.core.bpf_jit_enable``; counts when a program is loaded. It begins with 0, so that a program's own
            instructions can be stepped.
        harden: ``net.core.bpf_jit_harden``; 2 blinds constants. With 1 only those of users without CAP_SYS_ADMIN are,
            and nobody here is one.
    """

    def __init__(self, kernel: RunningKernel) -> None:
        self._kernel = kernel
        self.enabled = 0
        self.harden = 0
        self._pages: list[int] = []
        self._taken: dict[int, int] = {}

    def set_enabled(self, value: int) -> None:
        """Choose what happens to programs from now on (Linux net/core/sysctl_net_core.c).

        Args:
            value: 0 interprets them, 1 compiles them, 2 does too: what Linux then prints to its log is left out.

        Raises:
            LinuxError: EINVAL, another number.
        """
        if not 0 <= value <= 2:
            raise LinuxError(Errno.EINVAL, "net.core.bpf_jit_enable takes 0 to 2.")
        self.enabled = value

    def compile(self, program: Program, random32: Callable[[], int]) -> JitedCode | None:
        """Compile a program and put it into executable memory; None if it has to be interpreted.

        As in Linux that is no error: an instruction that the JIT does not know, a helper that the kernel does not
        have as a function, or no room.

        Args:
            program: what to compile.
            random32: gives random numbers that hide its constants.
        """
        fixed = do_misc_fixups(program.resolved, program.array_lookups)
        insns, origin = fixed.insns, fixed.origin
        try:
            if self.harden == _HARDEN_ALL:
                blinded = blind_constants(insns, random32)
                insns, origin = blinded.insns, tuple(origin[slot] for slot in blinded.origin)
        except JitError:
            return None
        stem = f"bpf_prog_{program.tag}_"
        made = self.install(insns, [stem + program.name[:15], stem + "F"])
        return None if made is None else JitedCode(made[0], origin, made[1], _arrays_without_calls(program))

    def install(
        self,
        insns: Sequence[Insn],
        names: Sequence[str],
        *,
        stack_depth: int | None = None,
        from_cbpf: bool = False,
    ) -> tuple[JitProgram, tuple[Symbol, ...]] | None:
        """Put the machine code of instructions into executable memory; None if that cannot be, see `compile`.

        Args:
            insns: as the JIT takes them.
            names: of the symbols: the first function's, and the one for all others.
            stack_depth: bytes of stack; None: what the instructions show.
            from_cbpf: whether they were converted from classic BPF.
        """

        def compiled(address: int) -> JitProgram:
            return self.code_at(address, insns, stack_depth=stack_depth, from_cbpf=from_cbpf)

        try:
            size = compiled(self._home()).size
            place = self._alloc(size + _HEADER)
        except (JitError, LinuxError):
            return None
        code = compiled(place + _HEADER)
        self._kernel.write(place, (size + _HEADER).to_bytes(_HEADER, "little") + code.memory())
        self._kernel.machine.flush_code()
        symbols = []
        for number, image in enumerate(code.images):
            name = names[min(number, len(names) - 1)]
            symbols.append(self._kernel.kallsyms.add(name, image.address, len(image.code), module="bpf"))
        return code, tuple(symbols)

    def code_at(self, address: int, insns: Sequence[Insn], *, stack_depth: int | None, from_cbpf: bool) -> JitProgram:
        """The machine code that instructions become at an address; the arguments are those of `install`.

        Raises:
            JitError: an instruction or a helper that the JIT or the kernel does not know.
        """
        return jit_insns(
            insns, address=address, call_address=self._helper, stack_depth=stack_depth, from_cbpf=from_cbpf
        )

    def free(self, jited: JitedCode) -> None:
        """Give a program's memory back."""
        self.uninstall(jited.code.entry)

    def uninstall(self, entry: int) -> bool:
        """Give the memory back that `install` put a program into; False if there is none.

        Args:
            entry: address of its first function.
        """
        start = entry - _HEADER
        if start not in self._taken:
            return False
        end = start + self._taken.pop(start)
        for symbol in [*self._kernel.kallsyms.added]:
            if symbol.module == "bpf" and start <= symbol.address < end:
                self._kernel.kallsyms.remove(symbol)
        return True

    def _helper(self, number: int) -> int:
        if number in SKB_CALLS:
            name = SKB_CALLS[number].name
        else:
            name = HELPER_NAMES[number] if 0 < number < len(HELPER_NAMES) else ""
        found = self._kernel.kallsyms.lookup_name(f"bpf_{name}")
        if not found:
            raise JitError(f"the kernel has no function bpf_{name}.")
        return found[0].address

    def _home(self) -> int:
        """An address near the kernel's text to try a compilation at; no distance depends on where exactly."""
        return self._kernel.modules.base + _HEADER

    def _alloc(self, size: int) -> int:
        """The first free chunks that hold ``size`` bytes, in pages that follow each other."""
        size = -(-size // CHUNK_SIZE) * CHUNK_SIZE
        for page in sorted(self._pages):
            place = page
            while True:
                block = next(
                    (at for at in sorted(self._taken) if at < place + size and place < at + self._taken[at]), None
                )
                if block is None:
                    break
                place = block + self._taken[block]
            if all(at & -PAGE_SIZE in self._pages for at in range(place & -PAGE_SIZE, place + size, PAGE_SIZE)):
                self._taken[place] = size
                return place
        pages = -(-size // PAGE_SIZE)
        first = self._kernel.modules.alloc_pages(pages)
        self._pages += range(first, first + pages * PAGE_SIZE, PAGE_SIZE)
        self._taken[first] = size
        return first

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory, symbols apart."""
        return self.enabled, self.harden, tuple(self._pages), tuple(self._taken.items())

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self.enabled, self.harden, pages, taken = state
        self._pages, self._taken = list(pages), dict(taken)


def _arrays_without_calls(program: Program) -> tuple[WatchedArray, ...]:
    if not program.array_lookups:
        return ()
    found = []
    for which in program.used_maps:
        if isinstance(which, ArrayMap) and (size := which.elem_size * which.max_entries) <= _WATCHED_SIZE:
            start = which.values - DIRECT_MAP
            found.append(WatchedArray(which, start, start + size))
    return tuple(found)
