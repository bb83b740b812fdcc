"""The sentences under each step: complete in both languages, filled for real events, short enough for the screen."""

from __future__ import annotations

import re
import string
from functools import cache

import pytest
from rich.cells import cell_len

from kprobesim.errors import BadInput
from kprobesim.i18n import LANGUAGES, Language, Texts
from kprobesim.kprobes import Kprobe, PtRegs
from kprobesim.kprobes.kernel import MODULES_VADDR
from kprobesim.lab import Lab
from kprobesim.lab.kinds import EVENT_KINDS
from kprobesim.machine import Event, Moment
from kprobesim.tracing.seccomp_names import SECCOMP_ACTIONS

TEXTS = Texts("kprobesim.lab.texts")
WIDEST_WHAT, WIDEST_WHY, WIDEST_BRIEF = 130, 205, 76
BY_PID = """
.type kprobe
.license GPL
.map counts hash key=4 value=8 max_entries=64
  r6 = r1
  call get_current_pid_tgid
  r0 >>= 32
  *(u32 *)(r10 -4) = r0
  r2 = r10
  r2 += -4
  r1 = map counts
  call map_lookup_elem
  if r0 == 0 goto new
  r1 = 1
  lock *(u64 *)(r0 +0) += r1
  goto out
new:
  r1 = 1
  *(u64 *)(r10 -16) = r1
  r1 = map counts
  r2 = r10
  r2 += -4
  r3 = r10
  r3 += -16
  r4 = 0
  call map_update_elem
  r1 = r10
  r1 += -32
  r2 = 16
  call get_current_comm
  r1 = r10
  r1 += -40
  r2 = 8
  r3 = 64
  call probe_read_kernel
  r1 = r6
  call get_func_ip
out:
  r0 = 0
  exit
"""


REFUSED = [
    "A filter has 1 to 4096 instructions, this one has 5000.",
    "Instruction 2: There is no opcode 0x00ff.",
    "Instruction 2: It divides by the constant 0.",
    "Instruction 2: It shifts 32 bits by 33.",
    "Instruction 2: M[] has 16 words, there is no M[16].",
    "Instruction 2: It jumps over 7 instructions, but only 3 follow.",
    "Instruction 2: There is no ancillary load at SKF_AD_OFF+3.",
    "Instruction 2: The last one must be a return of a constant or of A.",
    "Instruction 2: M[0] may be read before it was written.",
    "Instruction 2: As eBPF its jump would be longer than 16 bits can say.",
    "Instruction 2: seccomp_data has 64 bytes in words of 4, none at 64.",
    "Instruction 2: seccomp has no opcode 0x0028.",
]


@cache
def session() -> Lab:
    """One run with probes that are stepped, emulated, missed and at returns, a program, and page faults."""
    try:
        lab = Lab.open("toyix")
    except BadInput as missing:
        pytest.skip(str(missing))
    lab.load_program(BY_PID, "by_pid")
    attachment = lab.attach("by_pid", "vfs_read")
    lab.attach("by_pid", "ksys_read", returns=True)
    emulated = next(line for line in lab.code(address(lab, "ksys_read")) if line.text.startswith("call"))
    probe = lab.kprobe(f"{emulated.address:#x}", pre_handler=lambda *_: 0)
    stepped = lab.kprobe("vfs_write", pre_handler=lambda *_: 0, post_handler=lambda *_: None)
    lab.kprobe("vfs_open", disabled=True)

    def give_up(_: Kprobe, regs: PtRegs) -> int:
        regs.ip = address(lab, "just_return_func")
        return 1

    lab.kprobe("ksys_sync", pre_handler=give_up)
    lab.type("cat /home/notes.txt")
    lab.run(instructions=20_000_000)
    lab.detach(attachment)
    lab.unregister_kprobe(probe)
    lab.unregister_kprobe(stepped)
    lab.type("sleep 1")
    lab.run(instructions=5_000_000)
    lab.set_bpf_jit(1)
    lab.load_program("r0 = 0\nexit", "jited")
    return lab


def address(lab: Lab, symbol: str) -> int:
    return lab.kernel.symbol(symbol)


def texts_of(kind: str, language: Language) -> list[str]:
    return [key for key in TEXTS.keys(language) if re.fullmatch(rf"{re.escape(kind)}(\.\w+)*\.(what|why|brief)", key)]


def made(kind: str, **changes: object) -> Event:
    """An event of a kind with plausible values."""
    values: dict[str, object] = {
        "address": 0xFFFF_FFFF_8100_0001,
        "number": 1,
        "text": "name",
        "bytes": bytes(range(8)),
        "list": [1, 2, 3, 4, 5, 6],
    }
    fields = {field.name: values[field.type] for field in EVENT_KINDS[kind].fields}
    if kind == "text.poke":
        del fields["stage"]
    if kind == "seccomp.verdict":
        fields["action"] = "ALLOW"
    if kind == "socket.verdict":
        fields["verdict"] = "keep"
    if kind == "gate":
        fields["frame"] = bytes(40)
    return Event(0, 1, 0, kind, Moment(1), fields | changes)


def every_sort() -> list[Event]:
    """Events that reach every text that there is, also those that no short run brings about."""
    events = [made(kind) for kind in EVENT_KINDS]
    slot, kernel, user = MODULES_VADDR + 6, 0xFFFF_FFFF_8100_0001, 0x40_0000
    names = {0: "#DE", 1: "#DB", 3: "#BP", 6: "#UD", 7: "#NM", 8: "#DF", 13: "#GP"}
    events += [made("trap", vector=vector, name=name, rip=kernel, user=0) for vector, name in names.items()]
    events += [made("trap", vector=vector, name=f"IRQ {vector:#x}", user=0) for vector in (0x34, 0xEC, 0xFD)]
    events += [made("trap", vector=3, name="#BP", rip=slot, user=0), made("trap", vector=3, rip=user, user=1)]
    for code in (0, 2, 4, 6, 7, 20):
        for rip in (slot, kernel):
            for cr2 in (user, 8, kernel):
                events.append(
                    made("trap", vector=14, name="#PF", rip=rip, user=code >> 2 & 1, error_code=code, cr2=cr2)
                )
    for rip, cs in ((kernel, 0x10), (slot, 0x10), (user, 0x33)):
        frame = b"".join(word.to_bytes(8, "little") for word in (rip, cs, 0x202, kernel, 0x18))
        events.append(made("gate", vector=3, frame=frame))
    events += [made("gate", vector=vector, frame=bytes(48)) for vector in (6, 14, 0x34, 0xEC)]
    events += [made("syscall", nr=number) for number in (0, 1, 3, 35, 57, 59, 60, 61, 231, 257, 999)]
    events += [
        made("text.poke", old=b"\x0f", new=b"\xcc"),
        made("text.poke", old=b"\xcc", new=b"\x0f"),
        *(made("text.poke", stage=stage) for stage in (1, 2, 3)),
        made("kprobe.opt_pre_handler", ret=0),
        made("console", text="\n"),
        made("kprobe.prepare", emulated=0, original=bytes(7), copy=bytes(12)),
        made("kprobe.prepare", emulated=0, original=bytes(7), copy=bytes(7) + b"\xcc"),
        made("kprobe.prepare", emulated=0, original=bytes(7), copy=bytes(7)),
        made("kprobe.register", armed=0),
        made("kprobe.register", by="ftrace"),
        made("kprobe.hit", by="int3"),
        made("kprobe.hit", by="ftrace"),
        made("kprobe.step_tf", saved_if=0),
        made("gate", vector=1, frame=bytes(40)),
        made("trap", vector=1, name="#DB", user=0),
        made("kprobe.pre_handler", ret=0),
        made("kprobe.singlestep", saved_if=0),
        made("map.update", old=b""),
        made("bpf.load", processed=0),
        *(made("seccomp.verdict", mode="filter", action=action) for action in SECCOMP_ACTIONS.values()),
        made("seccomp.verdict", mode="strict", action="KILL_THREAD"),
        *(made("socket.verdict", verdict=verdict) for verdict in ("drop", "trim", "keep")),
    ]
    events += [made("filter.refuse", insn=2, reason=told) for told in REFUSED]
    events += [made(kind, prog="socket filter") for kind in ("bpf.enter", "bpf.exit")]
    interpreted = made("filter.load")
    del interpreted.fields["jited"]
    events.append(interpreted)
    helpers = {key.split(".")[2] for key in TEXTS.keys("en") if key.startswith("bpf.helper.bpf_")}
    for name in helpers | {"bpf_jiffies64"}:
        events += [made("bpf.helper", name=name, ret=ret) for ret in (0, 5, kernel, (1 << 64) - 14)]
    return events


def test_both_languages_have_the_same_texts_with_the_same_names_in_them() -> None:
    english, chinese = TEXTS.keys("en"), TEXTS.keys("zh")
    assert english.keys() == chinese.keys()

    def names(template: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(template) if name}

    differing = {key for key in english if names(english[key]) != names(chinese[key])}
    assert not differing


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_event_has_a_text(language: Language) -> None:
    for kind in EVENT_KINDS:
        endings = {key.rpartition(".")[2] for key in texts_of(kind, language)}
        assert endings - {"brief"} == {"what", "why"}, kind


def test_no_text_belongs_to_a_kind_that_does_not_exist() -> None:
    known = {key for kind in EVENT_KINDS for key in texts_of(kind, "en")}
    assert TEXTS.keys("en").keys() <= known


@pytest.mark.parametrize("language", LANGUAGES)
def test_events_of_a_real_run_are_told_in_full(language: Language) -> None:
    lab = session()
    for event in lab.events():
        what, why = lab.narrate(event, language)
        assert what and why, event.kind
        assert "{" not in what + why, event.kind
        assert cell_len(what) <= WIDEST_WHAT, what
        assert cell_len(why) <= WIDEST_WHY, why


def test_the_real_run_has_the_events_that_a_hit_consists_of() -> None:
    kinds = {event.kind for event in session().events()}
    assert kinds >= {
        "text.poke", "trap", "gate", "syscall", "sched.switch", "task.new", "console", "idle",
        "kprobe.prepare", "kprobe.register", "kprobe.hit", "kprobe.pre_handler", "kprobe.singlestep", "kprobe.resume",
        "kprobe.post_handler", "kprobe.emulate", "kprobe.unregister", "rethook.prepare", "rethook.handler",
        "bpf.load", "bpf.attach", "bpf.enter", "bpf.helper", "map.update", "bpf.exit", "bpf.detach",
    }  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_can_be_filled_and_is_used(language: Language) -> None:
    lab = session()
    unused = set(TEXTS.keys(language).values())
    code = lab.bpf.jited("jited")
    assert code is not None
    by_program = made("trap", vector=14, name="#PF", rip=code.code.entry, user=0, error_code=0)
    for event in [*every_sort(), by_program]:
        what, why = lab.narrate(event, language)
        assert what and why, event
        assert "{" not in what + why, event
        assert cell_len(what) <= WIDEST_WHAT, what
        assert cell_len(why) <= WIDEST_WHY, why
        brief = lab.narrate_briefly(event, language)
        assert brief and "{" not in brief and cell_len(brief) <= max(WIDEST_BRIEF, cell_len(what)), brief
        unused = {template for template in unused if not any(matches(template, told) for told in (what, why, brief))}
    assert not unused


def matches(template: str, text: str) -> bool:
    pattern = "".join(
        re.escape(literal) + (".*" if name is not None else "")
        for literal, name, _, _ in string.Formatter().parse(template)
    )
    return re.fullmatch(pattern, text) is not None


def test_the_saved_ip_of_a_breakpoint_is_one_byte_past_it() -> None:
    lab = session()
    place = address(lab, "vfs_read") + 1
    event = next(e for e in lab.events() if e.kind == "trap" and e.fields["rip"] == place)
    assert lab.narrate(event, "en").what == (
        "The CPU fetched 0xCC at vfs_read+0x0 and raised trap 3 (#BP); the saved ip is one byte past it: vfs_read+0x1."
    )


@pytest.mark.parametrize(("processed", "told"), [(7, "7 instructions in all"), (0, "the verifier was left out")])
def test_only_a_program_that_was_verified_is_said_to_be_safe(processed: int, told: str) -> None:
    assert told in session().narrate(made("bpf.load", processed=processed), "en").why


def test_an_interrupts_gate_has_the_number_that_its_trap_has() -> None:
    lab = session()
    trap, gate = (
        made("trap", vector=0x34, name="IRQ 0x34", rip=address(lab, "vfs_read"), user=0, error_code=0),
        made("gate", vector=0x34, frame=bytes(48)),
    )
    assert "interrupt 0x34" in lab.narrate(trap, "en").what
    assert lab.narrate(gate, "en").what.startswith("IDT gate 0x34:")


def test_where_an_emulated_instruction_leads_is_told_by_name() -> None:
    lab = session()
    event = made(
        "kprobe.emulate", insn=f"call   {address(lab, 'rw_verify_area'):#x}", ip=address(lab, "rw_verify_area")
    )
    assert lab.narrate(event, "en").what.startswith("The instruction call rw_verify_area+0x0 was emulated")


def test_one_who_sees_it_for_the_first_time_is_told_less_and_never_something_else() -> None:
    lab = session()
    told = {event.kind: lab.narrate_briefly(event, "en") for event in lab.events()}
    arming = made("text.poke", symbol="vfs_read", offset=0, old=b"\x55", new=b"\xcc")
    assert lab.narrate_briefly(arming, "en") == "At vfs_read+0x0, 55 became cc."
    assert told["bpf.enter"] == "by_pid starts."
    no_text_of_its_own = next(event for event in lab.events() if event.kind == "syscall")
    assert lab.narrate_briefly(no_text_of_its_own, "en") == lab.narrate(no_text_of_its_own, "en").what
    failed = made("bpf.helper", name="bpf_map_update_elem", ret=(1 << 64) - 7)
    assert lab.narrate_briefly(failed, "en") == lab.narrate(failed, "en").what


def test_an_error_is_told_by_its_name() -> None:
    event = made("rethook.handler", symbol="ksys_read", retval=(1 << 64) - 9)
    assert "-9 (EBADF)" in session().narrate(event, "zh").what


def test_a_slot_is_named_alike_before_its_page_exists() -> None:
    event = made("kprobe.singlestep", slot=MODULES_VADDR + 15)
    assert "kprobe_insn_page+0xf" in Lab.open("toyix").narrate(event, "en").what


def test_chinese_has_a_space_beside_latin_words_and_full_width_punctuation() -> None:
    wrong = r"[\u4e00-\u9fff][A-Za-z0-9{]|[A-Za-z0-9}][\u4e00-\u9fff]|[\u4e00-\u9fff][,;:?!(]|[,;:?!)][\u4e00-\u9fff]"
    assert not [template for template in TEXTS.keys("zh").values() if re.search(wrong, template)]
