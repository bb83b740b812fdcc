"""The file trees that the host plays: tracefs, debugfs, bpffs, proc."""

from kprobesim.tracing.tracefs.bpffs import bpffs_directory
from kprobesim.tracing.tracefs.debugfs import debugfs_directory
from kprobesim.tracing.tracefs.nodes import Directory, File, Node, Stream
from kprobesim.tracing.tracefs.procfs import proc_directory
from kprobesim.tracing.tracefs.tracing_dir import TracingDirectory

__all__ = [
    "Directory",
    "File",
    "Node",
    "Stream",
    "TracingDirectory",
    "bpffs_directory",
    "debugfs_directory",
    "proc_directory",
]
