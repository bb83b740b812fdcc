"""Programs of type TRACING: on a function's entry or return by a trampoline, and on a tracepoint with typed arguments.

Follows Linux 6.1 kernel/bpf/syscall.c: bpf_tracing_prog_attach, and for tracepoints bpf_raw_tp_link_attach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kprobesim.bpf import Program
from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno
from kprobesim.tracing.links import Places, RawTracepointLink
from kprobesim.tracing.trampoline import ATTACH_KINDS

__all__ = ["TpBtfLink", "TracingLink"]


@dataclass(eq=False)
class TracingLink:
    """A program for fentry, fexit or fmod_ret on the function that it was loaded for.

    Args:
        places: the kernel's.
        program: the program's name.
        cookie: what ``bpf_get_attach_cookie`` answers.
        function: where the caller believes that the program belongs; empty: wherever it was loaded for.
    """

    places: Places
    program: str
    cookie: int = 0
    function: str = ""

    def attach(self) -> None:
        """See Link.

        Raises:
            LinuxError: EINVAL, a program of another type, or for another function; what the trampoline says.
        """
        programs = self.places.programs
        program = self._program()
        if program.attach_type not in ATTACH_KINDS:
            raise LinuxError(Errno.EINVAL, f"{self.program} was loaded for a tracepoint and not for a function.")
        check_target(program, self.function)
        programs.trampolines.link_prog(program, self.cookie)
        obj_id, btf_id = programs.trampolines.target(program)
        info: dict[str, str | int] = {"attach_type": program.attach_type}
        info |= {"target_obj_id": obj_id, "target_btf_id": btf_id}
        programs.add_link(self, self.program, self._where(program), info, "tracing")

    def detach(self) -> None:
        """See Link."""
        program = self._program()
        self.places.programs.trampolines.unlink_prog(program)
        self.places.programs.remove_link(self, self.program, self._where(program))

    def _program(self) -> Program:
        return self.places.programs.attachable(self.program, "tracing")

    def _where(self, program: Program) -> str:
        return f"{ATTACH_KINDS[program.attach_type]} {program.attach_func}"

    def __str__(self) -> str:
        return f"{self.program} to {self.function or 'its function'}"


@dataclass(eq=False)
class TpBtfLink(RawTracepointLink):
    """A program for ``tp_btf`` on the tracepoint that it was loaded for: a raw one, with typed arguments."""

    prog_type: ClassVar[str] = "tracing"

    def attach(self) -> None:
        """See Link.

        Raises:
            LinuxError: as for RawTracepointLink; EINVAL, a program for something else.
        """
        program = self.places.programs.attachable(self.program, self.prog_type)
        if program.attach_type != "trace_raw_tp":
            raise LinuxError(Errno.EINVAL, f"{self.program} was not loaded for a tracepoint.")
        check_target(program, self.name)
        super().attach()


def check_target(program: Program, wanted: str) -> None:
    """Whether a program belongs there: it is compiled for the types of one function or tracepoint.

    Raises:
        LinuxError: EINVAL, it does not.
    """
    if wanted and wanted != program.attach_func:
        raise LinuxError(
            Errno.EINVAL,
            f"{program.name} was loaded for {program.attach_func}; it cannot be attached to {wanted}.",
            hint="Which function a tracing program is for is said when it is loaded, in its section's name.",
        )
