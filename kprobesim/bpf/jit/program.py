"""A whole program: its functions compiled, laid out one after another, and linked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kprobesim.bpf.check import subprograms
from kprobesim.bpf.isa import Insn
from kprobesim.bpf.jit.config import DEFAULT_CONFIG, JitConfig
from kprobesim.bpf.jit.errors import JitError
from kprobesim.bpf.jit.function import Function, compile_function, link
from kprobesim.bpf.jit.image import CallSite, JitImage, SiteKind
from kprobesim.bpf.jit.stack import estimate_stack_depth, tail_call_reachable

__all__ = ["CHUNK_SIZE", "CallAddress", "JitProgram", "jit_insns"]

CHUNK_SIZE = 64
"""Programs share executable pages in pieces of this size: BPF_PROG_CHUNK_SIZE."""
_HEADER = 8  # struct bpf_binary_header, which stands before each function
_SPARE = 16
_INT3 = b"\xcc"

CallAddress = Callable[[int], int]
"""Address of the helper that a call instruction's ``imm`` means."""


@dataclass(frozen=True, slots=True)
class JitProgram:
    """Machine code of all functions of a program.

    Attributes:
        images: the functions in order; the first is where the program begins.
        insns: what was compiled, all functions.
        size: bytes from the entry to the end of the last function's memory.
    """

    images: tuple[JitImage, ...]
    insns: tuple[Insn, ...]
    size: int

    @property
    def entry(self) -> int:
        """Address of the first byte: ``prog->bpf_func``."""
        return self.images[0].address

    @property
    def jited_len(self) -> int:
        """Bytes of code, all functions."""
        return sum(len(image.code) for image in self.images)

    def memory(self) -> bytes:
        """What stands at ``entry``: code and exception tables, int3 between."""
        memory = bytearray(_INT3 * self.size)
        for image in self.images:
            at = image.address - self.entry
            memory[at : at + len(image.code)] = image.code
            table = image.extable_bytes()
            at += image.extable_offset
            memory[at : at + len(table)] = table
        return bytes(memory)

    def image_at(self, address: int) -> JitImage | None:
        """The function whose code is at ``address``."""
        return next((image for image in self.images if image.address <= address < image.end), None)

    def slot_at(self, address: int) -> int | None:
        """Slot of the BPF instruction whose code is at ``address``."""
        image = self.image_at(address)
        return None if image is None else image.slot_at(address)


def jit_insns(
    insns: Sequence[Insn],
    *,
    address: int,
    call_address: CallAddress,
    stack_depth: int | Sequence[int] | None = None,
    from_cbpf: bool = False,
    config: JitConfig = DEFAULT_CONFIG,
) -> JitProgram:
    """Compile instructions as the verifier leaves them; see ``do_misc_fixups`` for what it does to them.

    Args:
        insns: all functions of the program, one entry per slot.
        address: where the first function will be; others follow in chunks of 64 bytes.
        call_address: addresses of helpers.
        stack_depth: bytes of stack, for all functions or for each; None: what the instructions show.
        from_cbpf: whether it was a classic BPF filter.
        config: the kernel and the CPU.

    Raises:
        JitError: instructions that no JIT can translate.
        LoadError: a local call that leads outside.
    """
    insns = tuple(insns)
    starts = subprograms(insns)
    bodies = [insns[start:end] for start, end in zip(starts, (*starts[1:], len(insns)), strict=True)]
    if stack_depth is None:
        depths: Sequence[int] = [estimate_stack_depth(body) for body in bodies]
    else:
        depths = [stack_depth] * len(bodies) if isinstance(stack_depth, int) else stack_depth
    if len(depths) != len(bodies):
        raise JitError(f"there are {len(bodies)} functions, but stack depths of {len(depths)}.")
    reachable = tail_call_reachable(insns, starts)
    drafts = [
        compile_function(Function(body, start, depth, reaches, from_cbpf), config)
        for body, start, depth, reaches in zip(bodies, starts, depths, reachable, strict=True)
    ]
    places: dict[int, int] = {}
    at = end = address
    for draft in drafts:
        places[draft.start] = at
        used = draft.extable_offset + len(draft.extable_bytes())
        end = (at + used + _SPARE + CHUNK_SIZE - 1) // CHUNK_SIZE * CHUNK_SIZE
        at = end + _HEADER

    def resolve(site: CallSite) -> int:
        if site.kind is SiteKind.HELPER:
            return call_address(site.value)
        if site.kind in (SiteKind.LOCAL, SiteKind.FUNCTION):
            return places[site.value]
        thunk = config.return_thunk if site.kind is SiteKind.RETURN_THUNK else config.indirect_thunk
        assert thunk is not None
        return thunk

    images = tuple(link(draft, places[draft.start], resolve) for draft in drafts)
    return JitProgram(images, insns, end - address)
