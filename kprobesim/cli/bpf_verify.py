"""``kprobesim bpf verify``: the log, and for a refusal its explanation."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Final

import click

from kprobesim.bpf import Assembly, assemble, decode
from kprobesim.bpf.verifier import verify_assembly
from kprobesim.bpf.verifier.explain import explain as explain_verdict
from kprobesim.bpf.verifier.explain_text import diagnostic_data, diagnostic_text
from kprobesim.errors import BadInput
from kprobesim.i18n import default_language
from kprobesim.image import Btf, open_image

__all__ = ["verify_text"]

_TYPED: Final = ("tracing", "lsm")


def _program(text: str) -> Assembly:
    """Assembly text, or hex digits with blanks as one likes."""
    digits = "".join(text.split())
    if not digits or digits.strip("0123456789abcdefABCDEF"):
        return assemble(text)
    if len(digits) % 16:
        raise BadInput("The program is not made of whole instructions.", hint="An instruction has 16 hex digits.")
    return Assembly(decode(bytes.fromhex(digits)), (), {}, (), "kprobe", "GPL", "")


def verify_text(
    text: str,
    prog_type: str | None,
    log_level: int,
    *,
    kernel: str,
    attach_type: str,
    unpriv: bool,
    strict_alignment: bool,
    explain: bool,
    as_json: bool,
) -> None:
    """Verify and print.

    Args:
        text: assembly text or hex.
        prog_type: instead of the source's.
        log_level: see kprobesim.bpf.verifier.verify.
        kernel: whose types a program for one of its functions is verified against.
        attach_type: see kprobesim.bpf.verifier.verify, as are the next two.
        unpriv: see there.
        strict_alignment: see there.
        explain: whether a refusal is explained.
        as_json: one JSON object instead of text.

    Raises:
        BadInput: text that is no program.
        Rejected: the program is refused; with ``as_json`` the exit status 1 says so.
    """
    source = _program(text)
    btf = Btf.from_image(open_image(kernel)) if source.type in _TYPED else None
    verdict = verify_assembly(
        replace(source, type=prog_type or source.type),
        log_level=log_level,
        attach_type=attach_type,
        unpriv=unpriv,
        strict_alignment=strict_alignment,
        btf=btf,
    )
    language = default_language()
    found = explain_verdict(verdict, text, dict(enumerate(source.lines))) if explain else None
    if as_json:
        answer = {"errno": verdict.errno, "log": verdict.log, "stats": asdict(verdict.stats)}
        if found is not None:
            answer["diagnostic"] = diagnostic_data(found, language)
        click.echo(json.dumps(answer, ensure_ascii=False))
        if verdict.rejected:
            raise SystemExit(1)
        return
    click.echo(verdict.log, nl=False)
    if found is not None:
        click.echo(f"\n{diagnostic_text(found, language)}", nl=False)
    if verdict.rejected:
        raise verdict.rejected
