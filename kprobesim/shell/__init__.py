"""The command shell of the simulated machine."""

from kprobesim.shell.session import ShellSession

__all__ = ["ShellSession"]
