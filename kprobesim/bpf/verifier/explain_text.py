"""Diagnostics in words: English or Chinese, as text for a terminal or as plain data for JSON."""

import unicodedata
from collections.abc import Mapping
from typing import Any

from kprobesim.bpf.verifier.explain import Diagnostic, Fact
from kprobesim.bpf.verifier.reg import S64_MAX, S64_MIN, U64_MAX, Reg, s64
from kprobesim.bpf.verifier.reg_type import (
    CONST_PTR_TO_MAP,
    NOT_INIT,
    PTR_MAYBE_NULL,
    PTR_TO_CTX,
    PTR_TO_MAP_VALUE,
    PTR_TO_MEM,
    PTR_TO_PACKET,
    PTR_TO_STACK,
    SCALAR_VALUE,
    base_type,
    reg_type_str,
)
from kprobesim.bpf.verifier.tnum import UNKNOWN
from kprobesim.bpf.verifier.walk import Origin
from kprobesim.i18n import Language, Texts

__all__ = ["describe", "diagnostic_data", "diagnostic_text"]

_TEXTS = Texts("kprobesim.bpf.verifier.texts")


def _say(language: Language, key: str, fields: Mapping[str, Any] | None = None) -> str:
    return _TEXTS.get(language, key, **(fields or {})) or key


def _said(diagnostic: Diagnostic, language: Language, part: str) -> str:
    fields = {name: _TEXTS.get(language, f"word.{value}") or value for name, value in diagnostic.fields.items()}
    return _say(language, f"message.{diagnostic.template}.{part}", fields)


def describe(reg: Reg, language: Language = "en") -> str:
    """What is known of a register, in a few words."""
    if reg.type == NOT_INIT:
        return _say(language, "value.not_init")
    if reg.type & PTR_MAYBE_NULL:
        return _say(language, "value.or_null", {"rest": describe(reg.with_(type=reg.type & ~PTR_MAYBE_NULL), language)})
    if reg.type == SCALAR_VALUE:
        return _number(reg, language)
    name, fields = _pointer(reg)
    return _say(language, f"value.{name}", fields)


def _number(reg: Reg, language: Language) -> str:
    if reg.var_off.is_const:
        return _say(language, "value.constant", {"value": s64(reg.var_off.value)})
    if reg.umin or reg.umax != U64_MAX:
        return _say(language, "value.range", {"low": reg.umin, "high": reg.umax})
    if reg.smin != S64_MIN or reg.smax != S64_MAX:
        return _say(language, "value.signed_range", {"low": reg.smin, "high": reg.smax})
    if reg.var_off != UNKNOWN:
        return _say(language, "value.bits", {"bits": reg.var_off})
    return _say(language, "value.unknown")


def _pointer(reg: Reg) -> tuple[str, dict[str, Any]]:
    kind = base_type(reg.type)
    at = reg.off + (s64(reg.var_off.value) if reg.var_off.is_const else 0)
    variable = "" if reg.var_off.is_const else "_var"
    fields: dict[str, Any] = {"low": reg.smin, "high": reg.smax, "at": f"{at:+d}"}
    if kind == PTR_TO_STACK:
        return f"fp{variable}", fields | {"at": f"R10{at:+d}" if at or variable else "R10"}
    if kind == PTR_TO_CTX:
        return "ctx", fields
    if kind == CONST_PTR_TO_MAP and reg.map is not None:
        return "map_ptr", {"key": reg.map.key_size, "value": reg.map.value_size}
    if kind == PTR_TO_MAP_VALUE and reg.map is not None:
        return f"map_value{variable}", fields | {"value": reg.map.value_size}
    if kind == PTR_TO_PACKET:
        return "pkt", fields | {"range": max(reg.extent, 0)}
    if kind == PTR_TO_MEM:
        return "mem", fields | {"size": reg.extent}
    return "other", {"type": reg_type_str(reg.type) + reg.btf}


def _width(text: str) -> int:
    """Columns of a terminal."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _origin(origin: Origin, language: Language) -> str:
    return _say(language, f"origin.{origin.kind}", {"source": origin.source})


def _fact_lines(fact: Fact, at: int | None, language: Language) -> list[str]:
    about = describe(fact.reg, language)
    head = f"{fact.name} = {fact.text}" if fact.text else fact.name
    where = "" if fact.insn == at else _say(language, "label.before", {"insn": fact.insn})
    made = [f"  {where}{head}: {about}"]
    for origin in fact.origins:
        if origin.kind == "entry":
            made.append(f"    {_origin(origin, language)}")
            continue
        fields = {"insn": origin.insn, "text": origin.text, "origin": _origin(origin, language)}
        line = _say(language, "label.from", fields)
        if origin.value:
            line += _say(language, "label.gives", {"value": f"{origin.place}={origin.value}"})
        made.append(f"    {line}")
    return made


def diagnostic_text(diagnostic: Diagnostic, language: Language = "en") -> str:
    """The diagnostic for a terminal: the place, what is wrong, why, what would help, what was known."""
    made = [diagnostic.message] if diagnostic.message else []
    spot = diagnostic.spot
    if spot is not None:
        prefix = "" if spot.line is None else _say(language, "label.line", {"line": spot.line})
        made.append(f"  {prefix}{spot.text}")
        before = _width(prefix + spot.text[: spot.start])
        made.append(f"  {' ' * before}{'^' * _width(spot.text[spot.start : spot.end])}")
        if spot.line is not None and diagnostic.insn is not None:
            fields = {"insn": diagnostic.insn, "text": diagnostic.statement}
            made.append("  " + _say(language, "label.at", fields))
    for part in ("what", "why", "fix"):
        made.append(_say(language, f"label.{part}") + _said(diagnostic, language, part))
    if diagnostic.facts:
        made.append(_say(language, "label.knew"))
        for fact in diagnostic.facts:
            made += _fact_lines(fact, diagnostic.insn, language)
    return "\n".join(made) + "\n"


def diagnostic_data(diagnostic: Diagnostic, language: Language = "en") -> dict[str, Any]:
    """The diagnostic as plain data."""
    spot = diagnostic.spot
    return {
        "errno": diagnostic.errno,
        "message": diagnostic.message,
        "template": diagnostic.template,
        "fields": dict(diagnostic.fields),
        "insn": diagnostic.insn,
        "statement": diagnostic.statement,
        "spot": spot and {"line": spot.line, "text": spot.text, "start": spot.start, "end": spot.end},
        "what": _said(diagnostic, language, "what"),
        "why": _said(diagnostic, language, "why"),
        "fix": _said(diagnostic, language, "fix"),
        "facts": [
            {
                "insn": fact.insn,
                "name": fact.name,
                "text": fact.text,
                "about": describe(fact.reg, language),
                "origins": [{**origin._asdict(), "about": _origin(origin, language)} for origin in fact.origins],
            }
            for fact in diagnostic.facts
        ],
        "path": [
            {"insn": decision.insn, "text": decision.text, "taken": decision.taken} for decision in diagnostic.decisions
        ],
    }
