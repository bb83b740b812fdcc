"""The kprobe manager: the host's part of the kernel core, bound to the guest's hypercall stubs by name."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kprobesim.errors import ImageError
from kprobesim.kprobes.config import KprobeConfig, Stepping
from kprobesim.kprobes.core import Kprobes
from kprobesim.kprobes.fprobe import Fprobes
from kprobesim.kprobes.int3 import Int3Path
from kprobesim.kprobes.kernel import RunningKernel, Task
from kprobesim.kprobes.optimized import OptimizedPath
from kprobesim.kprobes.rethook import Rethooks
from kprobesim.kprobes.uprobes import Uprobes
from kprobesim.machine import FIRST_KERNEL_HYPERCALL, Hypercall, MemoryFault, VCpu

__all__ = ["KprobeManager"]


class KprobeManager:
    """Everything about probes in one running kernel.

    Args:
        kernel: the running kernel; its hypercall stubs are bound to this manager.
        config: how it is taken to be built; by default without ftrace, and preemptible.

    Attributes:
        kprobes: the table: register, arm, remove.
        text: all writes into the kernel's code, also for those who patch calls and branches.
        int3: what happens at a hit.
        rethooks: return probes.
        fprobes: probes on many functions at once.
        uprobes: breakpoints in programs.
    """

    def __init__(self, kernel: RunningKernel, config: KprobeConfig | None = None) -> None:
        self.kernel = kernel
        self.kprobes = Kprobes(kernel, config)
        self.text = self.kprobes.text
        self.int3 = Int3Path(self.kprobes)
        self.rethooks = Rethooks(self.kprobes, self.int3)
        self.fprobes = Fprobes(self.kprobes, self.int3, self.rethooks)
        self.uprobes = Uprobes(kernel, self.kprobes.jump_labels)
        self._bind()

    def _bind(self) -> None:
        """Connect the image's stubs to the functions of the same name.

        Raises:
            ImageError: a stub's number is one of the board's own, or the one that the configuration needs is missing.
        """
        functions: dict[str, Hypercall] = {
            "kprobe_int3_handler": self.int3.kprobe_int3_handler,
            "kprobe_debug_handler": self.int3.kprobe_debug_handler,
            "kprobe_fault_handler": self.int3.kprobe_fault_handler,
            "kprobe_ftrace_handler": self.kprobes.on_ftrace.kprobe_ftrace_handler,
            "arch_ftrace_ops_list_func": self.kprobes.ftrace.ftrace_ops_list_func,
            "fprobe_handler": self.fprobes.fprobe_handler,
            "rethook_find_ret_addr": self.rethooks.find_ret_addr_for_guest,
            "rethook_trampoline_handler": self.rethooks.rethook_trampoline_handler,
            "poke_int3_handler": self.text.poke_int3_handler,
            "search_bpf_extables": lambda cpu, address, *_: 0,  # there is no BPF until somebody brings it
        }
        if self.kprobes.optimizer is not None:
            path = OptimizedPath(self.kprobes, self.kprobes.optimizer, self.int3)
            functions["optimized_callback"] = path.optimized_callback
        self.kernel.machine.devices.describe = self._describe
        for name, number in self.kernel.stubs:
            if number < FIRST_KERNEL_HYPERCALL:
                raise ImageError(
                    f"{self.kernel.image.name}: {name} asks for hypercall {number}, which is the board's own."
                )
        self.kernel.bind(functions)
        steps_by_tf = self.kprobes.config.stepping is Stepping.TRAP_FLAG
        if steps_by_tf and not self.kernel.has_symbol("kprobe_debug_handler"):
            raise ImageError(
                f"{self.kernel.image.name}: without a stub kprobe_debug_handler nobody takes the #DB after a step.",
                hint="Use the profile bare for this image.",
            )

    def _describe(self, cpu: VCpu, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Names for the tasks that the guest's marks point to; a task that ends takes its awaited returns along."""
        told: dict[str, Any] = {}
        for field, address in fields.items():
            task = Task(self.kernel, address)
            prefix = "" if field == "task" else f"{field}_"
            # A mark is for whoever watches: one that points nowhere, or without types to read it by, has no names.
            with suppress(MemoryFault, ImageError):
                told |= {f"{prefix}pid": task.pid, f"{prefix}comm": task.name}
        if kind == "task.exit":
            self.rethooks.rethook_flush_task(fields["task"])
        return told

    def save(self) -> object:
        """All state that is not in guest memory."""
        return self.kprobes.save(), self.rethooks.save(), self.fprobes.save(), self.uprobes.save()

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        kprobes, rethooks, fprobes, uprobes = state
        self.kprobes.restore(kprobes)
        self.rethooks.restore(rethooks)
        self.fprobes.restore(fprobes)
        self.uprobes.restore(uprobes)
