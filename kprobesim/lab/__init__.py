"""One experiment on one reversible clock: machine, kernel, probes and programs. The public API.

::

    lab = Lab.open("toyix")
    lab.load_program(text, "by_pid")
    lab.attach("by_pid", "vfs_read")
    lab.type("cat /etc/motd")
    lab.run(until=["kprobe.hit"])
    lab.step(Grain.PHASE, back=True)
    print(lab.narrate(lab.last_event, "en").what)
"""

from typing import TYPE_CHECKING

from kprobesim.on_demand import on_demand

if TYPE_CHECKING:
    from kprobesim.lab.bpf_view import BpfView
    from kprobesim.lab.kinds import EVENT_KINDS
    from kprobesim.lab.lab import Lab
    from kprobesim.lab.motion import Grain
    from kprobesim.lab.narration import Narration
    from kprobesim.lab.phases import Phase
    from kprobesim.lab.profiles import Profile
    from kprobesim.lab.task_views import CpuView, TaskView
    from kprobesim.lab.views import CodeLine, KprobeView, MapView, ProbeView, StackWord
    from kprobesim.lab.who_wrote import Writer, last_register_write, last_write
    from kprobesim.machine import Event, Moment, Stop
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "kprobesim.lab.bpf_view": ["BpfView"],
            "kprobesim.lab.kinds": ["EVENT_KINDS"],
            "kprobesim.lab.lab": ["Lab"],
            "kprobesim.lab.motion": ["Grain"],
            "kprobesim.lab.narration": ["Narration"],
            "kprobesim.lab.phases": ["Phase"],
            "kprobesim.lab.profiles": ["Profile"],
            "kprobesim.lab.task_views": ["CpuView", "TaskView"],
            "kprobesim.lab.views": ["CodeLine", "KprobeView", "MapView", "ProbeView", "StackWord"],
            "kprobesim.lab.who_wrote": ["Writer", "last_register_write", "last_write"],
            "kprobesim.machine": ["Event", "Moment", "Stop"],
        },
    )

__all__ = [
    "EVENT_KINDS",
    "BpfView",
    "CodeLine",
    "CpuView",
    "Event",
    "Grain",
    "KprobeView",
    "Lab",
    "MapView",
    "Moment",
    "Narration",
    "Phase",
    "ProbeView",
    "Profile",
    "StackWord",
    "Stop",
    "TaskView",
    "Writer",
    "last_register_write",
    "last_write",
]
