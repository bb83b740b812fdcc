"""fprobes: one pair of handlers for many functions, by ftrace alone."""

from collections.abc import Callable

import pytest

from kprobesim.errors import GuestError, LinuxError
from kprobesim.kprobes import NOP5, Fprobe, Kprobe, KprobeConfig, Kretprobe, PtRegs
from kprobesim.linux_errno import Errno
from tests.kprobes.running import Running, Spy

DISTRO = KprobeConfig(ftrace=True)


@pytest.fixture
def distro(boot_toyix: Callable[..., Running]) -> Running:
    return boot_toyix(variant="distro", config=DISTRO, commands=["cat /etc/hostname"])


class Witness:
    """Handlers of an fprobe that note what they are told: (what, function, ip, ax)."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self.calls: list[tuple[str, str, int, int]] = []

    def entered(self, _: Fprobe, entry_ip: int, regs: PtRegs, data: bytearray | None) -> None:
        self._note("entry", entry_ip, regs)

    def left(self, _: Fprobe, entry_ip: int, regs: PtRegs, data: bytearray | None) -> None:
        self._note("exit", entry_ip, regs)

    def _note(self, what: str, entry_ip: int, regs: PtRegs) -> None:
        place = self._running.kernel.kallsyms.lookup_size_offset(entry_ip)
        assert place is not None and place[1] == 0
        self.calls.append((what, place[0].name, regs.ip, regs.ax))


def on(running: Running, fprobe: Fprobe, match: str, notfilter: str | None = None) -> Fprobe:
    running.timeline.input("register", lambda: running.manager.fprobes.register_fprobe(fprobe, match, notfilter))
    return fprobe


def hooked(running: Running) -> set[str]:
    """Functions whose entries are no nops."""
    kernel = running.kernel
    sites = [site for site in kernel.tables.mcount_loc if kernel.read(site, 5) != NOP5]
    return {kernel.kallsyms.symbolize(site).removesuffix("+0x0") for site in sites}


def test_many_functions_by_a_pattern(distro: Running) -> None:
    """FPR-01, FPR-04: entries with ip = A + 5, returns with the caller's address; no kprobe, no trap."""
    witness = Witness(distro)
    on(distro, Fprobe(witness.entered, witness.left), "vfs_*", "vfs_w*")
    names = hooked(distro)
    assert {"vfs_read", "vfs_open"} <= names and not {"vfs_write", "ksys_read"} & names
    distro.run()
    reads = [call for call in witness.calls if call[1] == "vfs_read"]
    assert [what for what, *_ in reads][-4:] == ["entry", "exit"] * 2 or reads[-1][0] == "entry"
    entry = next(call for call in reads if call[0] == "entry")
    assert entry[2] == distro.symbol("vfs_read") + 5
    left = next(call for call in reads if call[0] == "exit")
    assert distro.kernel.kallsyms.symbolize(left[2]).startswith("ksys_read+")
    assert left[3] == len("cat /etc/hostname\n")
    assert 3 not in {event.fields["vector"] for event in distro.events("trap")}
    assert distro.kprobes.ctlblk[0].current is None
    assert distro.console().endswith("toyix\n")


@pytest.mark.parametrize("cpus", [1, 2])
def test_the_number_of_nodes_goes_by_functions_and_cpus(boot_toyix: Callable[..., Running], cpus: int) -> None:
    """FPR-01: num * possible_cpus * 2; as in Linux, what notfilter leaves out is counted too."""
    running = boot_toyix(variant="distro", config=DISTRO, cpus=cpus)
    sites = running.kernel.tables.mcount_loc
    functions = [s for s in running.kernel.kallsyms if s.name.startswith("vfs_") and s.address in sites]
    fprobe = on(running, Fprobe(exit_handler=lambda *_: None), "vfs_*", "vfs_w*")
    assert fprobe.rethook is not None and fprobe.rethook.free == len(functions) * cpus * 2
    running.manager.fprobes.unregister_fprobe(fprobe)
    fprobe = on(running, Fprobe(exit_handler=lambda *_: None, nr_maxactive=3), "vfs_*")
    assert fprobe.rethook is not None and fprobe.rethook.free == 3


def test_without_a_node_neither_handler_runs(distro: Running) -> None:
    """FPR-02: in 6.1 the entry is skipped as well."""
    witness = Witness(distro)
    fprobe = Fprobe(witness.entered, witness.left, nr_maxactive=1)
    distro.timeline.input(
        "register", lambda: distro.manager.fprobes.register_fprobe_syms(fprobe, ["vfs_read", "ksys_read"])
    )
    distro.run()
    assert {name for _, name, *_ in witness.calls} == {"ksys_read"}
    assert fprobe.nmissed == len(distro.events("fprobe.miss")) > 0
    assert {event.fields["symbol"] for event in distro.events("fprobe.miss")} == {"vfs_read"}


def test_without_an_exit_handler_no_return_is_awaited(distro: Running) -> None:
    """FPR-01."""
    witness = Witness(distro)
    fprobe = on(distro, Fprobe(witness.entered), "vfs_read")
    distro.run()
    assert fprobe.rethook is None
    assert not distro.events("rethook.prepare")
    assert {what for what, *_ in witness.calls} == {"entry"}


def test_a_call_keeps_bytes_from_its_entry_to_its_return(distro: Running) -> None:
    sizes: list[tuple[int, int]] = []

    def enter(_: Fprobe, __: int, regs: PtRegs, data: bytearray | None) -> None:
        assert data is not None and len(data) == 8
        data[:] = regs.dx.to_bytes(8, "little")

    def leave(_: Fprobe, __: int, regs: PtRegs, data: bytearray | None) -> None:
        assert data is not None
        sizes.append((int.from_bytes(data, "little"), regs.ax))

    on(distro, Fprobe(enter, leave, entry_data_size=8), "vfs_read")
    distro.run()
    assert sizes and all(0 <= got <= asked for asked, got in sizes)


def test_a_disabled_fprobe_is_told_nothing(distro: Running) -> None:
    witness = Witness(distro)
    fprobe = on(distro, Fprobe(witness.entered, witness.left, disabled=True), "vfs_read")
    distro.run()
    assert not witness.calls and fprobe.nmissed == 0


# Sharing, and who else is there


@pytest.mark.parametrize("shared", [False, True])
def test_a_sharing_fprobe_misses_what_happens_while_a_kprobe_is_stepped(distro: Running, shared: bool) -> None:
    """FPR-03: a probed copy faults in its slot, and the fault path is hooked while the kprobe is still current."""
    copy = distro.symbol("copy_user_generic")
    offset = distro.kernel.read(copy, 64).index(b"\xf3\x48\xa5")
    distro.register(Kprobe(symbol_name="copy_user_generic", offset=offset))
    witness = Witness(distro)
    fprobe = on(distro, Fprobe(witness.entered, shared_with_kprobes=shared), "do_user_addr_fault")
    distro.run()
    faults = len(distro.events("kprobe.fault"))
    assert faults
    assert fprobe.nmissed == (faults if shared else 0)
    assert distro.console().endswith("toyix\n")


def test_while_a_sharing_fprobe_runs_kprobes_are_missed(distro: Running) -> None:
    """FPR-03, REE-05: the handler cannot call the guest's code, so the hit comes from its side."""
    inner = distro.register(Kprobe(symbol_name="vfs_write", offset=5, pre_handler=Spy().pre()))
    cpu = distro.machine.cpus[0]

    def enter(_: Fprobe, __: int, regs: PtRegs, ___: bytearray | None) -> None:
        saved = regs.ip, regs.flags
        regs.ip = (inner.addr or 0) + 1
        assert distro.manager.int3.kprobe_int3_handler(cpu, regs.address, 0, 0) == 1
        regs.ip, regs.flags = saved

    on(distro, Fprobe(enter, shared_with_kprobes=True), "vfs_read")
    distro.timeline.run(stop_kinds=["fprobe.entry"])
    assert inner.nmissed == 1


def test_recursion_is_a_miss(distro: Running) -> None:
    """FPR-02."""
    cpu = distro.machine.cpus[0]
    site = distro.symbol("vfs_read")

    def enter(_: Fprobe, __: int, regs: PtRegs, ___: bytearray | None) -> None:
        assert not list(distro.manager.fprobes.fprobe_handler(cpu, site, 0, regs.address))

    fprobe = on(distro, Fprobe(enter), "vfs_read")
    distro.timeline.run(stop_kinds=["fprobe.entry"])
    assert fprobe.nmissed == 1


def test_kprobe_return_probe_and_fprobe_on_one_function(distro: Running) -> None:
    """KRP-05: one frame, one pass through the trampoline, everybody is told."""
    witness, spy = Witness(distro), Spy()
    on(distro, Fprobe(witness.entered, witness.left), "vfs_read")
    distro.register(Kprobe(symbol_name="vfs_read", pre_handler=spy.pre("kprobe")))
    distro.register(Kretprobe(Kprobe(symbol_name="vfs_read"), handler=spy.returned("kretprobe")))
    distro.run()
    assert spy.names[:2] == ["kprobe", "kretprobe"]
    assert [what for what, *_ in witness.calls][:2] == ["entry", "exit"]
    assert distro.console().endswith("toyix\n")


# Registering


@pytest.mark.parametrize(
    ("register", "errno"),
    [
        (lambda f, p: f.register_fprobe(p, "no_such_*"), Errno.EINVAL),
        (lambda f, p: f.register_fprobe(p, "vfs_*", "no_such_*"), Errno.EINVAL),
        (lambda f, p: f.register_fprobe_syms(p, ["vfs_read", "no_such"]), Errno.ENOENT),
        (lambda f, p: f.register_fprobe_syms(p, ["__switch_to_asm"]), Errno.ENOENT),
        (lambda f, p: f.register_fprobe_syms(p, []), Errno.EINVAL),
        (lambda f, p: f.register_fprobe_ips(p, [0xFFFF_FFFF_8100_0001]), Errno.EINVAL),
        (lambda f, p: f.register_fprobe_ips(p, []), Errno.EINVAL),
        (lambda f, p: f.unregister_fprobe(p), Errno.EINVAL),
    ],
    ids=["no match", "nothing left out", "unknown", "without a nop", "no symbol", "no site", "no address", "not there"],
)
def test_what_is_refused(distro: Running, register: Callable[..., None], errno: Errno) -> None:
    """FPR-01: only functions with a fentry site; an unknown name fails the whole."""
    before = distro.text()
    with pytest.raises(LinuxError) as caught:
        register(distro.manager.fprobes, Fprobe())
    assert caught.value.errno is errno
    assert distro.text() == before


def test_an_fprobe_is_registered_once(distro: Running) -> None:
    fprobe = on(distro, Fprobe(), "vfs_read")
    with pytest.raises(LinuxError) as caught:
        distro.manager.fprobes.register_fprobe(fprobe, "vfs_write")
    assert caught.value.errno is Errno.EBUSY
    assert hooked(distro) == {"vfs_read"}


def test_removal_gives_the_nops_back_and_calls_under_way_return_untold(distro: Running) -> None:
    """KRP-09."""
    witness = Witness(distro)
    fprobe = on(distro, Fprobe(None, witness.left), "ksys_read")
    distro.timeline.run(stop_kinds=["rethook.prepare"])
    distro.timeline.input("unregister", lambda: distro.manager.fprobes.unregister_fprobe(fprobe))
    assert not hooked(distro)
    distro.run()
    assert not witness.calls
    assert distro.console().endswith("toyix\n")


def test_the_trampoline_of_a_removed_fprobe_serves_the_next(distro: Running) -> None:
    """A task may still be inside of it, so the page is not given back."""
    first = on(distro, Fprobe(), "vfs_read")
    distro.timeline.input("unregister", lambda: distro.manager.fprobes.unregister_fprobe(first))
    second = on(distro, Fprobe(), "vfs_write")
    assert len(distro.events("ftrace.trampoline")) == 1
    assert second.ops is not None and second.ops.trampoline == distro.symbol("ftrace_trampoline")


def test_every_function_of_the_kernel_can_be_hooked_at_once(
    distro: Running, boot_toyix: Callable[..., Running]
) -> None:
    """FPR-01: and nothing that runs notices."""
    plain = boot_toyix(variant="distro", commands=["cat /etc/hostname"])
    plain.run()
    fprobe = on(distro, Fprobe(lambda *_: None, lambda *_: None, nr_maxactive=100_000), "*", "__switch_to")
    unhooked = [site for site in distro.kernel.tables.mcount_loc if distro.kernel.read(site, 5) == NOP5]
    assert unhooked == [distro.symbol("__switch_to")]
    distro.run()
    assert [line for line in distro.console().splitlines() if line[:1] != "["] == [
        line for line in plain.console().splitlines() if line[:1] != "["
    ]
    assert fprobe.nmissed == 0


def test_a_hooked_return_of_the_task_switch_is_fatal(distro: Running) -> None:
    """KRP-06: __switch_to begins as one task and ends as another, whose list has no such call; nobody refuses it."""
    on(distro, Fprobe(exit_handler=lambda *_: None), "__switch_to")
    with pytest.raises(GuestError, match="Return address not found"):
        distro.run()


def test_going_back_restores_fprobes_and_their_calls(distro: Running) -> None:
    start = distro.machine.moment
    seen: list[bytes] = []

    def enter(_: Fprobe, __: int, regs: PtRegs, data: bytearray | None) -> None:
        assert data is not None
        data[0] = 7

    def leave(_: Fprobe, __: int, regs: PtRegs, data: bytearray | None) -> None:
        assert data is not None
        seen.append(bytes(data))
        data[0] = 9

    on(distro, Fprobe(enter, leave, entry_data_size=1), "vfs_*")
    distro.run()
    log, names = list(distro.machine.log), hooked(distro)
    for event in [event for event in log if event.kind.startswith("fprobe.")][:12]:
        distro.timeline.seek(event.moment)
        assert distro.machine.seq == event.seq + 1
    distro.timeline.seek(start)
    assert not hooked(distro)
    distro.timeline.seek_end()
    assert list(distro.machine.log) == log
    assert hooked(distro) == names
    assert set(seen) == {b"\x07"}
