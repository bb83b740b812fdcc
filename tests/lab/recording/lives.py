"""Lives that the tests of recordings share."""

import functools

from kprobesim.lab import Lab
from kprobesim.lab.recording import Bookmark, Recording, capture
from tests.lab.experiment import by_pid, only, rested

OBJECT_FREE = "r0 = 0\nexit"


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
    lab.poke(lab.address_of("init_task"), lab.read(lab.address_of("init_task"), 2))
    lab.set_register("rax", 7)
    lab.run()
    lab.start = beginning
    lab.seek(only(lab, "kprobe.hit")[0])
    marks = [Bookmark(lab.moment, "命中"), Bookmark(only(lab, "trap")[-1].moment, "a later one")]
    return lab, capture(lab, marks, notes="全部输入")
