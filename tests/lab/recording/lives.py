"""Lives that the tests of recordings share."""

import functools

from kprobesim.lab import Lab
from kprobesim.lab.recording import Bookmark, Recording, capture
from tests.bpf.object.objects import PROGRAMS
from tests.lab.experiment import by_pid, only, rested

OBJECT_FREE = "r0 = 0\nexit"

RINGS = """
.type kprobe
.license GPL
.map ring ringbuf max_entries=4096
.map told user_ringbuf max_entries=4096
.map rings perf_event_array key=4 value=4 max_entries=1
.map calls prog_array key=4 value=4 max_entries=2
r6 = r1
*(u64 *)(r10 -8) = 5
r1 = map[ring]
r2 = r10
r2 += -8
r3 = 8
r4 = 0
call bpf_ringbuf_output
r1 = r6
r2 = map[rings]
r3 = 0
r4 = r10
r4 += -8
r5 = 8
call bpf_perf_event_output
r0 = 0
exit
"""
"""Writes what user space reads; names maps that only user space fills."""


@functools.cache
def full() -> tuple[Lab, Recording]:
    """A life with every kind of input, some made in the middle of things; the machine stands at its first hit."""
    lab = rested()
    beginning = lab.moment.insn
    lab.set_bpf_jit(1)
    lab.load_program(by_pid(), "by_pid")
    attached = lab.attach("by_pid", "vfs_read")
    lab.type("cat /home/notes.txt")
    lab.run(until=["kprobe.hit"])
    lab.step(count=3)
    probe = lab.kprobe("vfs_write", name="w")
    lab.run()
    lab.detach(attached)
    lab.unregister_kprobe(probe)
    lab.type("sleep 100")
    lab.run(instructions=30_000)
    lab.interrupt()
    lab.run()
    with_rings(lab)
    lab.poke(lab.address_of("init_task"), lab.read(lab.address_of("init_task"), 2))
    lab.set_register("rax", 7)
    lab.load_object(PROGRAMS / "ok_count.o")
    lab.run()
    lab.start = beginning
    lab.seek(only(lab, "kprobe.hit")[0])
    marks = [Bookmark(lab.moment, "命中"), Bookmark(only(lab, "trap")[-1].moment, "a later one")]
    return lab, capture(lab, marks, notes="全部输入")


def with_rings(lab: Lab) -> tuple[object, ...]:
    """User space fills maps, lets a program write, and reads what it wrote."""
    lab.load_program(RINGS, "rings")
    lab.attach("rings", "vfs_write")
    lab.open_perf_buffer("rings", pages=1)
    lab.fill_prog_array("calls", 1, "rings")
    taken = lab.write_user_ringbuf("told", b"from user space")
    lab.type("cat /etc/hostname")
    lab.run()
    return taken, lab.read_ringbuf("ring"), lab.read_perf_buffer("rings")
