"""What arguments fetch on a hit, and how the trace prints them."""

import re

import pytest

from kprobesim.lab import Lab
from kprobesim.tracing.kstrto import kstrtol, kstrtoul, simple_strtoul
from kprobesim.tracing.probe_events import TraceProbeEvent
from tests.tracing.tracefs.console import Console, define


@pytest.fixture(scope="module")
def console() -> Console:
    return Console()


def fetched(console: Console, command: str, doing: str = "cat /etc/motd", task: str = "cat") -> str:
    """The arguments that the first record of an event shows while something is done."""
    console.run("echo 0 > events/kprobes/enable", "echo > kprobe_events", "echo > trace")
    quote = '"' if "'" in command else "'"
    assert console.run(f"echo {quote}{command}{quote} > kprobe_events") == ""
    console.run("echo 1 > events/kprobes/enable", doing, "echo 0 > events/kprobes/enable")
    for line in console.trace():
        if f" {task}-" in line:
            return line.split(") ", 1)[1] if ") " in line else ""
    raise AssertionError(f"no record of {task}")


def test_numbers(console: Console) -> None:
    """FET-04: u decimal, s signed, x hexadecimal, cut to their size."""
    shown = fetched(console, "p:e do_sys_openat2 a=%di:u8 b=%di:s8 c=%di:x8 d=%di:s32 e=%di:x32 f=%di:u16 g=%di")
    assert shown == "a=156 b=-100 c=0x9c d=-100 e=0xffffff9c f=65436 g=0xffffff9c"


def test_texts_and_places(console: Console) -> None:
    """FET-02, FET-04: user memory by u, by a low address, by ustring; $comm; immediates; symbols."""
    command = (
        "p:e do_sys_openat2 a=+0(%si):ustring b=+u0(%si):string c=+0(%si):string d=$comm e=\\1234 f=\\-1:s64 "
        'g=%ip:symbol h=%ip:symstr i=\\"text"'
    )
    shown = fetched(console, command)
    size = re.search(r"g=do_sys_openat2\+0x1/(0x[0-9a-f]+)", shown)
    assert size is not None
    assert shown == (
        'a="/etc/motd" b="/etc/motd" c="/etc/motd" d="cat" e=0x4d2 f=-1 '
        f'g=do_sys_openat2+0x1/{size[1]} h="do_sys_openat2+0x1/{size[1]}" i="text"'
    )


def test_arrays(console: Console) -> None:
    """GRM-10, FET-01: arrays of numbers, and of texts behind pointers."""
    shown = fetched(console, "p:e do_sys_openat2 a=+0(%si):x8[4] b=+0(%si):u16[2] c=+4(%si):string")
    assert shown == 'a={0x2f,0x65,0x74,0x63} b={25903,25460} c="/motd"'
    shown = fetched(console, "p:e __x64_sys_execve a=+0(+104(%di)):string[2]", "cat /etc/hostname", "sh")
    assert shown == 'a={"cat","/etc/hostname"}'


def test_bitfields(console: Console) -> None:
    """FET-05: b4@4/8 of 0xAB is 0xA, printed unsigned."""
    assert fetched(console, "p:e vfs_read a=\\0xAB:b4@4/8 b=\\0xAB:b4@0/8 c=\\0xABCD:b8@4/16") == "a=10 b=11 c=188"


def test_faults(console: Console) -> None:
    """FET-03: a text that cannot be read is (fault); a number keeps what lay in the buffer."""
    shown = fetched(console, "p:e vfs_read a=+0(@8):string b=+0(\\0xffff900000000000):string c=+8(\\0):u32")
    assert shown.startswith("a=(fault) b=(fault) c=")


def test_stack_and_arguments(console: Console) -> None:
    """GRM-04, GRM-05: $argN are registers, then stack words; $stack0 at entry is the return address."""
    shown = fetched(console, "p:e vfs_read a=$arg1 b=%di c=$arg3 d=%dx e=$stack0:symbol f=$stack g=%sp h=$stack2048")
    values = dict(word.split("=") for word in shown.split())
    assert values["a"] == values["b"] and values["c"] == values["d"] == "0x1000"
    assert values["e"].startswith("ksys_read+0x") and values["f"] == values["g"] and values["h"] == "0x0"
    shown = fetched(console, "p:e vfs_read a=$arg7 b=$stack1 c=$arg8 d=+16(%sp)")
    values = dict(word.split("=") for word in shown.split())
    assert values["a"] == values["b"] and values["c"] == values["d"]


def test_return_value(console: Console) -> None:
    """GRM-06: $retval on return probes, by r and by %return."""
    assert fetched(console, "r:e vfs_read a=$retval:s64") == "a=83"
    assert fetched(console, "p:e vfs_read%return a=$retval:s64") == "a=83"


def test_symbols_of_data(console: Console) -> None:
    """GRM-08: @symbol is resolved when the probe is registered."""
    jiffies = console.lab.kernel.symbol("jiffies_64")
    one = fetched(console, f"p:e vfs_read a=@jiffies_64:u64 b=@{jiffies:#x}:u64 c=@jiffies_64-8:u64")
    values = dict(word.split("=") for word in one.split())
    assert values["a"] == values["b"] and int(values["a"]) > 0


def test_user_addresses_are_no_kernel_addresses(console: Console) -> None:
    """FET-02: +u refuses a kernel address."""
    assert fetched(console, "p:e vfs_read a=+u0(%sp):string") == "a=(fault)"


@pytest.mark.parametrize(
    ("text", "value"),
    [("10", 10), ("0x10", 16), ("010", 8), ("0", 0), ("+7", 7), ("7\n", 7), ("08", None), ("0x", None), ("", None),
     ("1 ", None), ("-1", None), ("18446744073709551615", (1 << 64) - 1), ("18446744073709551616", None)],
)  # fmt: skip
def test_kernel_numbers(text: str, value: int | None) -> None:
    if value is None:
        with pytest.raises(Exception, match=r"EINVAL|ERANGE"):
            kstrtoul(text)
    else:
        assert kstrtoul(text) == value


def test_signed_numbers() -> None:
    assert (kstrtol("-5"), kstrtol("+5"), kstrtol("-0x10")) == (-5, 5, -16)
    with pytest.raises(Exception, match="EINVAL"):
        kstrtol("-+5")
    with pytest.raises(Exception, match="ERANGE"):
        kstrtol("9223372036854775808")
    assert simple_strtoul("0x1fg") == (31, "g") and simple_strtoul("x") == (0, "x")


@pytest.fixture(scope="module")
def lab() -> Lab:
    booted = Lab.open()
    booted.run()
    return booted


def test_limits(lab: Lab) -> None:
    """GRM-09: unnamed arguments are arg1 and so on, words from the 129th on are ignored."""
    assert define(lab, "p:many vfs_read " + " ".join(["%di"] * 130)) is None
    event = lab.tracing.events.events["kprobes", "many"]
    assert isinstance(event, TraceProbeEvent)
    assert [arg.name for arg in event.args] == [f"arg{n}" for n in range(1, 129)]
    assert define(lab, "-:many") is None
    assert define(lab, f"p:long vfs_read {'n' * 32}=@{'1' * 15}:u8") is None
    assert define(lab, "-:long") is None


def test_an_array_of_an_immediate_is_a_fault(console: Console) -> None:
    """FET-01: accepted, but there is no pointer to go on from."""
    assert fetched(console, "p:e vfs_read a=\\1:string[2]") == "a={(fault),(fault)}"


def test_a_text_is_measured_up_to_path_max_and_its_record_must_fit_a_page() -> None:
    """FET-06: 2000 letters are recorded; of 4096 and more Linux measures PATH_MAX, which no page has room for."""
    console = Console()
    console.run("echo 'p:w vfs_write text=+0(%si):ustring' > kprobe_events")
    line = "x" * 2000
    console.run(f"echo {line} > /tmp/long; cat /tmp/long /tmp/long /tmp/long > /tmp/longer")
    console.run("echo 1 > events/kprobes/w/enable; cat /tmp/long > /tmp/out; cat /tmp/longer > /tmp/out")
    console.run("echo 0 > events/kprobes/w/enable")
    lengths = [len(text) for text in re.findall("x{1000,}", console.run("cat trace"))]
    assert 2000 in lengths and max(lengths) < 4096
    hits = int(console.run("cat kprobe_profile").split()[1])
    assert hits > console.run("cat trace").count(": w: ("), (
        "a hit whose record does not fit is counted, and not recorded"
    )


def test_an_immediate_text_has_neither_blanks_nor_hashes() -> None:
    """GRM-11: the line is cut at # before, and split at blanks."""
    console = Console()
    for text in ('a b"', 'a#b"'):
        printed = console.run(f"echo 'p:e vfs_read x=\\\"{text}' >> kprobe_events")
        assert printed == "sh: write error: Invalid argument\n"
    log = console.run("cat error_log")
    assert log.count("String is not closed with '\"'") == 2 and '  Command: p:e vfs_read x=\\"a b"\n' in log
    assert console.run("echo 'p:e vfs_read x=\\\"ab\"' >> kprobe_events; cat kprobe_events").endswith('x=\\"ab"\n')
