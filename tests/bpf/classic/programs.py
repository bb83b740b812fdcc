"""Filters for tests: bpf_asm source on one line, and what Linux's own tcpdump printed."""

import re
from pathlib import Path

from kprobesim.bpf import BenchEnvironment
from kprobesim.bpf.classic import Engine, Filter, FilterBench, FilterMode, SockFilter, assemble_filter
from kprobesim.bpf.errors import LoadError
from kprobesim.bpf.skb import Skb

LISTINGS = Path(__file__).parent / "tcpdump_listings.txt"
"""What ``tcpdump -d``, ``-dd`` and ``-ddd`` printed on Linux 6.1."""


def listings() -> dict[tuple[str, str], str]:
    """(option, expression) -> what tcpdump printed."""
    found = re.findall(r"^\$ tcpdump -i lo (-d+) '([^'\n]*)'\n(.*?)\(exit 0\)$", LISTINGS.read_text(), re.M | re.S)
    return {(option, expression): text for option, expression, text in found}


def insns_of(text: str) -> tuple[SockFilter, ...]:
    """The instructions of source whose lines are separated by ``;``."""
    return assemble_filter(text.replace(";", "\n"))


def accepts(insns: tuple[SockFilter, ...], mode: FilterMode = FilterMode.SOCKET) -> bool:
    """Whether the kernel takes the filter; it says EINVAL to all others."""
    try:
        Filter(insns, mode)
    except LoadError as refused:
        assert refused.errno.name == "EINVAL" and refused.hint
        return False
    return True


def run_all(text: str, skb: Skb, env: BenchEnvironment | None = None) -> int:
    """What the filter returns; all three ways of running it must say the same."""
    program = Filter(insns_of(text))
    said = {FilterBench(program, env or BenchEnvironment(), engine).run(skb) for engine in Engine}
    (result,) = said
    return result
