"""bpftool, as version 7.1 (Debian 12) prints: programs, maps, links and types of the simulated kernel."""

from kprobesim.tracing.bpftool.answer import Answer
from kprobesim.tracing.bpftool.channel import BpftoolChannel
from kprobesim.tracing.bpftool.command import run_bpftool

__all__ = ["Answer", "BpftoolChannel", "run_bpftool"]
