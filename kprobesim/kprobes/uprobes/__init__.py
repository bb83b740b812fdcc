"""Breakpoints in programs: by file and offset, in every process that runs the file.

What in Linux is kernel/events/uprobes.c is shared with the guest: its uprobes.c does what is done to the process, this
package keeps the table, runs the handlers and takes instructions apart.
"""

from kprobesim.kprobes.uprobes.arch import ArchUprobe, analyze_insn
from kprobesim.kprobes.uprobes.files import GuestFile, GuestFiles
from kprobesim.kprobes.uprobes.uprobes import Uprobe, UprobeConsumer, Uprobes

__all__ = ["ArchUprobe", "GuestFile", "GuestFiles", "Uprobe", "UprobeConsumer", "Uprobes", "analyze_insn"]
