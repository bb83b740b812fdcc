"""The tasks panel: every CPU with what it does, then every process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from kprobesim.tui import styles
from kprobesim.tui.cells import fit, row
from kprobesim.tui.panels.panel import Panel, Rows, View, note
from kprobesim.tui.wording import say

if TYPE_CHECKING:
    from kprobesim.lab import CpuView, TaskView

__all__ = ["TasksPanel"]


class TasksPanel(Panel):
    """CPUs first: the one whose turn it is has the arrow."""

    NAME = "tasks"

    def heading(self, view: View) -> str:
        """How many there are."""
        return say(view.language, "panel.tasks.counts", cpus=len(view.now.vcpus), tasks=len(view.now.tasks))

    def draw(self, view: View, width: int) -> Rows:
        """A row for each."""
        before = view.before or view.now
        cpus = {cpu.number: cpu for cpu in before.vcpus}
        tasks = {task.address: task for task in before.tasks}
        rows = [_cpu(cpu, cpus.get(cpu.number), width) for cpu in view.now.vcpus]
        if not view.now.tasks:
            return Rows([*rows, *note(width, view, "panel.tasks.empty")])
        rows.append(row(width, ("   pid ppid s  cpu comm", styles.HEAD)))
        rows += [_task(task, tasks.get(task.address), width) for task in view.now.tasks]
        return Rows(rows)


def _cpu(cpu: CpuView, old: CpuView | None, width: int) -> Content:
    who = f"{cpu.comm}/{cpu.pid}" if cpu.comm else "-"
    doing = "off" if not cpu.online else "hlt" if cpu.halted else f"ring {cpu.ring}"
    changed = old is not None and (old.pid, old.halted, old.ring) != (cpu.pid, cpu.halted, cpu.ring)
    irqs = f" irq {' '.join(f'{vector:#x}' for vector in cpu.pending)}" if cpu.pending else ""
    return row(
        width,
        ("▶" if cpu.is_turn else " ", styles.STRONG),
        ("▸" if changed else " ", styles.CHANGED),
        f"cpu{cpu.number} ",
        (fit(doing, 7), styles.CHANGED if changed else ""),
        (fit(who, 12), styles.STRONG),
        (f" {cpu.place}{irqs}", styles.DIM),
    )


def _task(task: TaskView, old: TaskView | None, width: int) -> Content:
    # A process that was not there before is new: a plus says so.
    new = old is None
    changed = old is not None and (old.state, old.on_cpu, old.comm) != (task.state, task.on_cpu, task.comm)
    was = f" ← {old.state}" if old is not None and old.state != task.state else ""
    return row(
        width,
        ("+" if new else "▸" if changed else " ", styles.CHANGED),
        f"{task.pid:>5} {task.parent:>4} ",
        (task.state, styles.CHANGED if was else ""),
        f"  {'-' if task.on_cpu is None else task.on_cpu:>3} ",
        (task.comm if task.is_user else f"[{task.comm}]", styles.STRONG if task.on_cpu is not None else ""),
        (was, styles.DIM),
    )
