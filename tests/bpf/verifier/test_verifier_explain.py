"""Diagnostics for people: what was refused, where, why, and what the verifier knew."""

import re
import tomllib
from importlib.resources import files

import pytest

from kprobesim.bpf import assemble
from kprobesim.bpf.verifier.explain import Diagnostic, explain, match_message
from kprobesim.bpf.verifier.explain_text import describe, diagnostic_data, diagnostic_text
from kprobesim.bpf.verifier.reg import known_reg
from kprobesim.i18n import LANGUAGES, Language, Texts
from tests.bpf.verifier.bench import LOOKUP, MAPS, check

TEXTS = Texts("kprobesim.bpf.verifier.texts")
MESSAGES = tomllib.loads((files("kprobesim.bpf.verifier.texts") / "messages.toml").read_text(encoding="utf-8"))
END = "r0 = 0\nexit\n"
TOO_FAR = f"""
    r6 = r1
{LOOKUP}
    if r0 == 0 goto out
    r1 = *(u64 *)(r6 +112)   ; a number from outside
    if r1 > 100 goto out
    r0 += r1
    *(u8 *)(r0 +0) = 1
out:
    {END}
"""


def told(text: str) -> Diagnostic:
    source = assemble(MAPS + text)
    found = explain(check(text), MAPS + text, dict(enumerate(source.lines)))
    assert found is not None
    return found


def test_the_place_is_underlined() -> None:
    found = told(TOO_FAR)
    spot = found.spot
    assert spot is not None
    assert spot.text.strip() == "*(u8 *)(r0 +0) = 1"
    assert spot.text[spot.start : spot.end] == "*(u8 *)(r0 +0)"
    spot = told("r0 = 1\nr0 += r7   ; r7 is nothing\nexit\n").spot
    assert spot is not None
    assert (spot.text[spot.start : spot.end], spot.line) == ("r7", len(MAPS.splitlines()) + 2)


def test_without_a_source_the_disassembly_is_shown() -> None:
    found = explain(check("r0 = r7\nexit\n"))
    assert found is not None
    assert found.spot is not None
    assert (found.spot.line, found.spot.text) == (None, "(bf) r0 = r7")


def test_values_are_traced_to_where_they_come_from() -> None:
    """Copies, comparisons and arithmetic, and the operand that went into it."""
    found = told(TOO_FAR)
    assert [fact.name for fact in found.facts] == ["R0", "R1"]
    assert [origin.kind for origin in found.facts[0].origins] == ["arithmetic", "narrowed", "returned"]
    assert [origin.kind for origin in found.facts[1].origins] == ["narrowed", "loaded"]
    assert found.facts[1].origins[0].text == "(25) if r1 > 0x64 goto pc+2"
    assert [decision.taken for decision in found.decisions] == [False, False]


def test_spills_are_traced_through_the_stack() -> None:
    found = told("r2 = 7\n*(u64 *)(r10 -8) = r2\nr2 = 0\nr3 = *(u64 *)(r10 -8)\nr0 = *(u8 *)(r3 +0)\nexit\n")
    kinds = [(origin.kind, origin.place, origin.source) for origin in found.facts[0].origins]
    assert kinds == [("filled", "R3", "fp-8"), ("stored", "fp-8", "R2"), ("set", "R2", "")]


def test_arguments_are_traced_into_the_caller() -> None:
    found = told(f"r1 = 5\ncall sub\n{END}sub:\nr0 = *(u8 *)(r1 +0)\nexit\n")
    assert [origin.kind for origin in found.facts[0].origins] == ["passed", "set"]


def test_failures_before_the_walk_name_the_instruction() -> None:
    found = told(f"goto out\nr0 = 1\nout:\n{END}")
    assert (found.template, found.insn, found.facts) == ("unreachable", 1, ())
    assert found.spot is not None
    assert found.spot.text == "r0 = 1"


def test_refusals_without_a_word_are_explained_too() -> None:
    found = explain(check(f".type kprobe\n{END}", unpriv=True))
    assert found is not None
    assert found.template == "silent"
    assert "CAP_BPF" in diagnostic_text(found, "en")


def test_a_full_log_buffer_is_explained() -> None:
    found = explain(check(END, log_size=128))
    assert found is not None
    assert (found.errno, found.template) == (28, "log_full")


def test_accepted_programs_need_no_explanation() -> None:
    assert explain(check(END)) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_text_says_what_why_and_how(language: Language) -> None:
    labels = [TEXTS.get(language, f"label.{part}") for part in ("what", "why", "fix", "knew")]
    lines = diagnostic_text(told(TOO_FAR), language).splitlines()
    assert next(line for line in lines if any(label and line.startswith(label) for label in labels)).startswith(
        labels[0] or ""
    )
    assert all(any(line.startswith(label or "?") for line in lines) for label in labels)
    assert lines[2].strip() == "^" * len("*(u8 *)(r0 +0)")


def test_the_underline_stands_below_its_text_in_both_languages() -> None:
    """Chinese characters are two columns wide."""
    english, chinese = (diagnostic_text(told(TOO_FAR), language).splitlines() for language in LANGUAGES)
    assert english[2].index("^") - english[1].index("*(u8") == 0
    wide = sum(character > "\u2e80" for character in chinese[1][: chinese[1].index("*(u8")])
    assert chinese[2].index("^") - chinese[1].index("*(u8") == wide


def test_the_same_as_data() -> None:
    data = diagnostic_data(told(TOO_FAR), "en")
    assert (data["template"], data["fields"]) == ("range_end", {"reg": "0", "end": "max"})
    assert data["facts"][1]["about"] == "a number from 0 to 100"


def test_the_most_specific_template_wins() -> None:
    assert (
        match_message("R1 pointer arithmetic on map_value_or_null prohibited, null-check it first")[0] == "null_arith"
    )
    assert match_message("invalid read from stack R10 off=-520 size=8") == (
        "stack_range",
        {"what": "read from", "reg": "10", "off": "-520", "size": "8"},
    )
    assert match_message("something that the kernel says some other day") == ("other", {})


def test_every_message_is_explained_in_both_languages() -> None:
    """And with nothing that the message does not have."""
    for language in LANGUAGES:
        keys = TEXTS.keys(language)
        for name, pattern in {**MESSAGES, "other": "", "silent": "{hint}", "log_full": ""}.items():
            fields = set(re.findall(r"\{(\w+)\}", pattern))
            for part in ("what", "why", "fix"):
                text = keys[f"message.{name}.{part}"]
                assert set(re.findall(r"\{(\w+)\}", text)) <= fields, (language, name, part)
    assert TEXTS.keys("en").keys() == TEXTS.keys("zh").keys()
    explained = {key.split(".")[1] for key in TEXTS.keys("en") if key.startswith("message.")}
    assert explained == {*MESSAGES, "other", "silent", "log_full"}


def test_every_template_fits_the_message_it_is_made_of() -> None:
    for name, pattern in MESSAGES.items():
        sample = re.sub(r"\{(\w+)\}", lambda found: "3" if found[1] == "reg" else " x", pattern)
        assert match_message(sample)[0] == name, sample


def test_registers_in_words() -> None:
    assert describe(known_reg(5), "en") == "the number 5"
    assert describe(known_reg(5), "zh") == "数 5"
