"""A prepared experiment: which kernel, which program on which probe, which command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kprobesim.course.strict import read_text, read_toml
from kprobesim.errors import KprobesimError
from kprobesim.i18n import Language
from kprobesim.lab import Lab, Stop

__all__ = ["Scenario", "read_scenario"]

_FORMAT: Final = 1
_LIMIT: Final = 200_000_000


@dataclass(frozen=True)
class Scenario:
    """One demo, as its folder describes it.

    Attributes:
        id: name of its folder.
        folder: where it is.
        titles, summaries: by language.
        minutes: how long it takes a learner.
        kernel, profile, cpus, seed, optimization: the machine, as for `Lab.open`.
        program: file of a BPF program in the folder, or empty.
        probe: where the program is attached, or empty.
        jit: programs become x86-64 code.
        command: typed at the console afterwards, or empty.
    """

    id: str
    folder: Path
    titles: Mapping[str, str]
    summaries: Mapping[str, str]
    minutes: int
    kernel: str
    profile: str
    cpus: int
    seed: int
    optimization: bool
    program: str
    probe: str
    jit: bool
    command: str

    def title(self, language: Language) -> str:
        """What it is called."""
        return self.titles.get(language) or self.titles["en"]

    def summary(self, language: Language) -> str:
        """What it is about, one sentence."""
        return self.summaries.get(language) or self.summaries["en"]

    def text(self, language: Language) -> str:
        """What the learner reads, as Markdown; empty if it has none."""
        for candidate in (language, "en"):
            if (self.folder / f"{candidate}.md").is_file():
                return read_text(self.folder, f"{candidate}.md")
        return ""

    def open(self) -> Lab:
        """Boot the machine, do what the scenario says, and come back to the moment before it was done.

        What follows is then known: it can be stepped through, searched and jumped to.

        Raises:
            KprobesimError: the scenario does not fit the kernel.
        """
        lab = Lab.open(
            self.kernel, profile=self.profile, cpus=self.cpus, seed=self.seed, optimization=self.optimization
        )
        self._run_to_rest(lab)
        beginning = lab.moment.insn
        if self.jit:
            lab.set_bpf_jit(1)
        if self.program:
            name = Path(self.program).stem
            lab.load_program(read_text(self.folder, self.program), name)
            if self.probe:
                lab.attach(name, self.probe)
        elif self.probe:
            lab.kprobe(self.probe)
        if self.command:
            lab.type(self.command)
            self._run_to_rest(lab)
        lab.start = beginning
        lab.seek(beginning)
        return lab

    def _run_to_rest(self, lab: Lab) -> None:
        stop = lab.run(instructions=_LIMIT)
        if stop is Stop.LIMIT:
            raise KprobesimError(f"{self.id}: the kernel was still busy after {_LIMIT:,} instructions.")


def read_scenario(folder: Path, file_name: str) -> Scenario:
    """Read a scenario's description.

    Args:
        folder: its folder.
        file_name: ``demo.toml``.

    Raises:
        BadInput: the file is missing, damaged, or says something that makes no sense.
    """
    table = read_toml(folder, file_name)
    if table.number("format_version", 0) != _FORMAT:
        table.refuse(f"format_version is not {_FORMAT}.", "format_version", hint="It was made for another version.")
    setup = table.table("setup")
    kernel = setup.text("kernel", "toyix", limit=64)
    if not kernel.isidentifier():
        setup.refuse(f"kernel must be the name of an image that ships, not {kernel!r}.", "kernel")
    program = setup.text("program", "", limit=255)
    if program and Path(program).name != program:
        setup.refuse(f"program must be a file of the same folder, not {program!r}.", "program")
    scenario = Scenario(
        id=folder.name,
        folder=folder,
        titles=table.by_language("title"),
        summaries=table.by_language("summary"),
        minutes=table.number("minutes", 10, least=1, most=240),
        kernel=kernel,
        profile=setup.text("profile", "bare", limit=64),
        cpus=setup.number("cpus", 1, least=1, most=8),
        seed=setup.number("seed", 0),
        optimization=setup.switch("optimization", True),
        program=program,
        probe=setup.text("probe", "", limit=1000),
        jit=setup.switch("jit", False),
        command=setup.text("command", "", limit=1000),
    )
    setup.done()
    table.done()
    return scenario
