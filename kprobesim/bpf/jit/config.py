"""What Linux decides by its configuration, by the CPU and by the layout of its structures."""

from dataclasses import dataclass

__all__ = ["DEFAULT_CONFIG", "MAX_TAIL_CALL_CNT", "JitConfig"]

MAX_TAIL_CALL_CNT = 33


@dataclass(frozen=True, slots=True)
class JitConfig:
    """How the kernel was built and what CPU it runs on; the defaults are those of Debian 12's 6.1 without mitigations.

    Attributes:
        sls: CONFIG_SLS, an int3 after every return and indirect jump.
        ibt: CONFIG_X86_KERNEL_IBT, endbr64 where an indirect branch may land.
        return_thunk: address of ``__x86_return_thunk`` if the CPU wants returns through it.
        indirect_thunk: address of ``__x86_indirect_thunk_rcx`` if the CPU wants indirect jumps through it.
        task_size_max: first address above user space, less a guard page: 2**56 - 4096 with five-level page tables.
        array_max_entries: offset of ``max_entries`` in struct bpf_array.
        array_ptrs: offset of ``ptrs`` in struct bpf_array.
        prog_bpf_func: offset of ``bpf_func`` in struct bpf_prog.
    """

    sls: bool = True
    ibt: bool = False
    return_thunk: int | None = None
    indirect_thunk: int | None = None
    task_size_max: int = (1 << 47) - 4096
    array_max_entries: int = 36
    array_ptrs: int = 272
    prog_bpf_func: int = 48

    @property
    def tail_call_offset(self) -> int:
        """X86_TAIL_CALL_OFFSET: how much of the next program's prologue a tail call skips."""
        return 11 + (4 if self.ibt else 0)


DEFAULT_CONFIG = JitConfig()
