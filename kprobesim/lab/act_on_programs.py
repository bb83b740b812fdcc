"""Doing something to the BPF programs in a machine and to their maps, as a program of its users would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from kprobesim.bpf import Assembly, Program, assemble
from kprobesim.bpf.maps import Lost, PerfConfig, PerfEvent, Sample
from kprobesim.bpf.object import BpfObject, load_object, read_object, section_target
from kprobesim.bpf.verifier import Rejected
from kprobesim.errors import BadInput, KprobesimError
from kprobesim.kprobes import Kretprobe
from kprobesim.lab.act import Act
from kprobesim.lab.program_data import assembly_data
from kprobesim.tracing import Attachment
from kprobesim.tracing.attach import link_for
from kprobesim.tracing.links import Link, Places, ProbeLink
from kprobesim.tracing.objects import LoadedObject, kernel_of, load_into, plan_names
from kprobesim.tracing.perf_clock import PerfEventLink

__all__ = ["LONGEST_OBJECT", "ActOnPrograms"]

T = TypeVar("T")

LONGEST_OBJECT: Final = 2 << 20
"""Hex digits of an object file that a recording still holds."""


class ActOnPrograms(Act):
    """The part of `Lab` that loads, attaches and feeds programs. Each act is an input of the timeline, as in `Act`."""

    def load_program(self, source: str | Assembly, name: str, *, verified: bool = True) -> Program:
        """Load a BPF program.

        Args:
            source: assembly text, or what `kprobesim.bpf.assemble` made of it.
            name: what events call it.
            verified: False leaves the verifier out, which no kernel does: to see what it protects from.

        Raises:
            AsmError: the text makes no sense.
            LoadError: the kernel would refuse it.
        """
        assembly = assemble(source) if isinstance(source, str) else source
        told: dict[str, Any] = {"name": name, "verified": verified}
        told |= {"text": source} if isinstance(source, str) else assembly_data(source)
        try:
            self._do(f"bpf load {name}", "load", told, lambda: self._load(assembly, name, verified))
        except Rejected as refusal:
            refusal.assembly, refusal.text = assembly, source if isinstance(source, str) else ""
            raise
        return self.bpf.programs[name]

    def _load(self, assembly: Assembly, name: str, verified: bool) -> None:
        self.bpf.load(assembly, name, verified=verified)

    def set_bpf_jit(self, enable: int) -> None:
        """Set ``net.core.bpf_jit_enable``: programs loaded from now on become x86-64 code, or are interpreted.

        Args:
            enable: 0 or 1; 2 as 1.
        """
        text = f"sysctl net.core.bpf_jit_enable={enable}"
        self._do(text, "bpf_jit_enable", {"enable": enable}, lambda: self.bpf.jit.set_enabled(enable))

    def attach(self, program: str, where: str, *, kind: str = "kprobe", returns: bool = False, cookie: int = 0) -> Link:
        """Attach a loaded program.

        Args:
            program: its name.
            where: the place, as it stands in a section's name behind the kind: ``vfs_read``, ``vfs_read+0x4``,
                ``syscalls/sys_enter_openat``, ``sched_switch``, ``/bin/cat:main``, ``vfs_*``; for a kprobe an address
                in hex, too.
            kind: what a section's name begins with: ``kprobe``, ``kretprobe``, ``ksyscall``, ``kretsyscall``,
                ``kprobe.multi``, ``kretprobe.multi``, ``uprobe``, ``uretprobe``, ``tracepoint`` (``tp``),
                ``raw_tracepoint`` (``raw_tp``), ``tp_btf``, ``fentry``, ``fexit``, ``fmod_ret`` or ``perf_event``
                (``cpu-clock``: at each tick). A program of one of the last five is attached as such in any case.
            returns: the same as the kind ``kretprobe``.
            cookie: what ``bpf_get_attach_cookie`` answers.

        Raises:
            BadInput: no such program or kind, or ``where`` cannot be read.
            LinuxError: what the kernel would refuse it with.
        """
        link = self._link(program, where, "kretprobe" if returns and kind == "kprobe" else kind, cookie)
        self._do(
            f"attach {link}",
            "attach",
            {"program": program, "where": where, "section": kind, "returns": returns, "cookie": cookie},
            link.attach,
            made=link,
        )
        return link

    def _link(self, program: str, where: str, kind: str, cookie: int) -> Link:
        loaded = self.bpf.programs.get(program)
        if loaded is not None and kind in ("kprobe", "kretprobe") and loaded.type in ("tracing", "perf_event"):
            kind = {"perf_event": "perf_event", "trace_raw_tp": "tp_btf"}.get(
                loaded.attach_type or loaded.type, "fentry"
            )
        if kind == "perf_event":
            return PerfEventLink(self.bpf, program, where, cookie)
        if kind in ("kprobe", "kretprobe"):
            probe = self._probe_at(where)
            returns = Kretprobe(probe) if kind == "kretprobe" else None
            return ProbeLink(self.bpf, Attachment(program, probe, returns, cookie))
        target = section_target(f"{kind}/{where}")
        link = link_for(self.places, program, target, cookie) if target is not None else None
        if link is None:
            raise BadInput(f"There is no way to attach a program to {f'{kind}/{where}'[:60]!r}.")
        return link

    @property
    def places(self) -> Places:
        """Where programs can be attached."""
        return Places(self.manager, self.bpf, self.tracing.events, self.tracing.kernel_events.tracepoints)

    def detach(self, link: Link | Attachment) -> None:
        """Undo an attachment; the program stays loaded."""
        wanted = ProbeLink(self.bpf, link) if isinstance(link, Attachment) else link
        self._do(f"detach {wanted}", "detach", {}, wanted.detach, of=wanted)

    def load_object(
        self, source: str | Path | bytes | BpfObject, *, name: str = "object.o", attach: bool = True
    ) -> LoadedObject:
        """Load what clang made of a C program, and attach its programs where their sections say.

        Args:
            source: path of the `.o` file, its bytes, or what was made of it, which no recording can hold.
            name: the file's name, where its bytes are given.
            attach: False only loads. Programs in a section such as ``kprobe`` name no place and are only loaded, too.

        Raises:
            ObjectError: the file makes no sense.
            LoadError: a map or program that the kernel refuses; `Rejected`, with the log, if it was the verifier.
            BadInput: a program that cannot be attached by itself here.
            LinuxError: a probe that was refused.
        """
        if isinstance(source, str | Path):
            name, source = Path(source).name, read_object(Path(source))
        told = {"name": name, "bytes": source.hex()} if isinstance(source, bytes) else {}
        found = source if isinstance(source, BpfObject) else load_object(source, name, kernel_of(self.kernel))
        plan = plan_names(found, self.bpf)
        wanted = [
            (link, plan.programs[program.name], program.target)
            for program in found.programs
            if attach
            and program.name in plan.programs
            and (link := link_for(self.places, plan.programs[program.name], program.target)) is not None
        ]
        kind = "load_object" if 0 < len(told.get("bytes", "")) <= LONGEST_OBJECT else ""
        self._do(f"bpf load object {found.name}", kind, told, lambda: load_into(self.bpf, plan))
        for number, (link, loaded, target) in enumerate(wanted):
            section = target.section.removeprefix("?").removesuffix(f"/{target.extra}")
            where = {"program": loaded, "where": target.extra, "section": section, "returns": False, "cookie": 0}
            try:
                self._do(f"attach {link}", "attach", where, link.attach, made=link)
            except KprobesimError:
                for attached, *_ in wanted[:number]:
                    self.detach(attached)
                raise
        return plan

    def open_object(self, path: str | Path) -> BpfObject:
        """Read a `.o` file and relocate it against this kernel; nothing is loaded.

        Raises:
            ObjectError: the file makes no sense.
        """
        return load_object(read_object(Path(path)), Path(path).name, kernel_of(self.kernel))

    def attached(self, program: str) -> Link | Attachment | None:
        """The first attachment of a program that is there, for `detach`; None if it has none."""
        owners = (link.owner for link in self.bpf.ids.links if link.program == program)
        return next((owner for owner in owners if isinstance(owner, Link | Attachment)), None)

    # What a user's program does with maps beside looking up and storing

    def open_perf_buffer(
        self, name: str, pages: int = 8, config: PerfConfig = PerfConfig.BPF_OUTPUT
    ) -> tuple[PerfEvent, ...]:
        """Open a perf event on each CPU and store them in a map; see BpfUser.open_perf_buffer."""
        return self._as_user(
            f"perf_buffer__new {name}",
            "open_perf_buffer",
            {"map": name, "pages": pages, "config": config.name},
            lambda: self.bpf.user.open_perf_buffer(name, pages, config),
        )

    def read_perf_buffer(self, name: str) -> list[tuple[int, Sample | Lost]]:
        """Read all that waits in the rings of a perf event array; see BpfUser.read_perf_buffer."""
        text = f"perf_buffer__consume {name}"
        return self._as_user(text, "read_perf_buffer", {"map": name}, lambda: self.bpf.user.read_perf_buffer(name))

    def read_ringbuf(self, name: str) -> list[bytes]:
        """Read all complete samples of a ring buffer; see BpfUser.read_ringbuf."""
        text = f"ring_buffer__consume {name}"
        return self._as_user(text, "read_ringbuf", {"map": name}, lambda: self.bpf.user.read_ringbuf(name))

    def write_user_ringbuf(self, name: str, sample: bytes) -> bool:
        """Put a sample into a ring that programs read; see BpfUser.write_user_ringbuf."""
        return self._as_user(
            f"user_ring_buffer__submit {name}",
            "write_user_ringbuf",
            {"map": name, "bytes": sample.hex()},
            lambda: self.bpf.user.write_user_ringbuf(name, sample),
        )

    def fill_prog_array(self, name: str, index: int, program: str) -> None:
        """Store a program in a program array.

        Args:
            name: of the map.
            index: the place in it.
            program: the program's name.

        Raises:
            BadInput: there is no such map or program.
            LinuxError: what bpf(BPF_MAP_UPDATE_ELEM) would say.
        """

        def fill() -> None:
            found = self.bpf.programs.get(program)
            if found is None:
                raise BadInput(f"There is no program named {program}.")
            self.bpf.user.store(name, index.to_bytes(4, "little"), found)

        told = {"map": name, "index": index, "program": program}
        self._as_user(f"bpf_map_update_elem {name}[{index}] = {program}", "fill_prog_array", told, fill)

    def _as_user(self, text: str, kind: str, data: Mapping[str, Any], act: Callable[[], T]) -> T:
        """An input with an answer; going back and forth asks for it again, and the first one was given already."""
        results: list[T] = []
        self._do(text, kind, data, lambda: results.append(act()))
        return results[0]
