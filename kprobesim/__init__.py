"""kprobesim: how kprobes and eBPF really work, on a machine that can go backwards.

``kprobesim.lab`` is the public API. The rooms below it and their import order are drawn in ``docs/how-it-works.md``.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
