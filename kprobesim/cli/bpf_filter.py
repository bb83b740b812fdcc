"""``kprobesim bpf filter``: classic filters over captured packets."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

import click

from kprobesim.bpf import BenchEnvironment
from kprobesim.bpf.capture import CapturedPacket, read_capture, skb_of
from kprobesim.bpf.classic import (
    Engine,
    Execution,
    Filter,
    FilterBench,
    FilterMode,
    Read,
    SockFilter,
    State,
    image,
    read_filter,
)
from kprobesim.bpf.classic.forms import MAX_TEXT
from kprobesim.bpf.skb import Skb
from kprobesim.errors import BadInput

__all__ = ["filter_command"]

_MAX_BYTES: Final = 4 * MAX_TEXT
_LINE: Final = 16
_SECOND: Final = 1_000_000_000


@click.command("filter")
@click.argument("program", type=click.Path(path_type=Path))
@click.argument("pcap", type=click.Path(path_type=Path), required=False)
@click.option(
    "--engine",
    type=click.Choice([engine.value for engine in Engine]),
    default="classic",
    show_default=True,
    help="The old interpreter; or converted to eBPF as Linux does it, interpreted or as x86-64 code.",
)
@click.option("--packet", type=click.IntRange(1), help="Step through this packet: A, X, M[] and the bytes looked at.")
@click.option("--listing", is_flag=True, help="Print the filter as classic BPF, eBPF and x86-64, side by side.")
@click.option("--seccomp", is_flag=True, help="With --listing: by seccomp's rules, as a filter of system calls.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def filter_command(
    program: Path,
    pcap: Path | None,
    engine: str,
    packet: int | None,
    listing: bool,
    seccomp: bool,
    as_json: bool,
) -> None:
    """Run the classic filter in PROGRAM over the packets in PCAP and print those that match.

    PROGRAM is a file (or - for standard input): bpf_asm source, or what tcpdump -d, -dd or -ddd prints. PCAP is a
    capture in the pcap or pcapng format. A packet matches if the filter returns more than 0: so many bytes of it are
    kept.
    """
    if pcap is None and not listing:
        raise click.UsageError("Give a capture in PCAP, or --listing.")
    if seccomp and pcap is not None:
        raise click.UsageError("seccomp's filters look at system calls, not at packets: --seccomp goes with --listing.")
    checked = Filter(_program(program), FilterMode.SECCOMP if seccomp else FilterMode.SOCKET)
    if listing:
        _print_listing(checked, as_json)
    if pcap is None:
        return
    with _opened(pcap) as file:
        packets = read_capture(file)
        if packet is None:
            _print_matches(checked, packets, Engine(engine), as_json)
        else:
            _print_steps(checked, _numbered(packets, packet), as_json)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}.") from None
    with file:
        yield file


def _program(path: Path) -> tuple[SockFilter, ...]:
    with _opened(path) as file:
        raw = file.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        raise BadInput(f"The filter is larger than {_MAX_BYTES:,} bytes.")
    try:
        return read_filter(raw.decode())
    except UnicodeDecodeError:
        raise BadInput("The filter is not UTF-8 text.") from None


def _numbered(packets: Iterator[CapturedPacket], number: int) -> CapturedPacket:
    last = 0
    for packet in packets:
        last = packet.number
        if last == number:
            return packet
    raise BadInput(f"There is no packet {number}: the capture has {last}.")


def _print_listing(program: Filter, as_json: bool) -> None:
    from kprobesim.bpf.classic.listing import side_by_side, side_by_side_text

    if not as_json:
        click.echo(side_by_side_text(program), nl=False)
        return
    for row in side_by_side(program):
        native = [{**asdict(x86), "raw": x86.raw.hex()} for x86 in row.native]
        classic = None if row.pc is None else image(program.checked[row.pc], row.pc)
        click.echo(
            json.dumps({"pc": row.pc, "classic": classic, "slot": row.slot, "ebpf": row.text or None, "x86": native})
        )


def _print_matches(program: Filter, packets: Iterator[CapturedPacket], engine: Engine, as_json: bool) -> None:
    bench = FilterBench(program, BenchEnvironment(), engine)
    matched = last = 0
    start: int | None = None
    for packet in packets:
        last = packet.number
        start = packet.time_ns if start is None else start
        result = bench.run(skb_of(packet))
        matched += result > 0
        if as_json:
            click.echo(json.dumps(_record(packet, result)))
        elif result:
            kept = min(result, packet.length)
            elapsed = (packet.time_ns - start) / _SECOND
            click.echo(f"{packet.number:6}  {elapsed:12.6f}  {packet.length:6} bytes, {kept} kept")
    if not as_json:
        click.echo(f"{matched} of {last} packets match.")


def _record(packet: CapturedPacket, result: int) -> dict[str, Any]:
    return {
        "packet": packet.number,
        "time_ns": packet.time_ns,
        "captured": len(packet.data),
        "length": packet.length,
        "ret": result,
        "match": result > 0,
    }


def _print_steps(program: Filter, packet: CapturedPacket, as_json: bool) -> None:
    skb = skb_of(packet)
    execution = Execution(program, skb, BenchEnvironment())
    states = []
    while not execution.finished:
        states.append(execution.step())
    if as_json:
        for state in states:
            click.echo(json.dumps(_step(state, skb)))
        return
    for state in states:
        text = image(state.insn, state.pc).replace("\t", " ")
        cells = "".join(f" M[{cell}]={value:#x}" for cell, value in enumerate(state.mem) if value is not None)
        looked = "".join(f"  [{read.offset}:{read.offset + read.size}]={_bytes(skb, read)}" for read in state.reads)
        click.echo(f"{text:<44} A={state.a:#x} X={state.x:#x}{cells}{looked}".rstrip())
    _print_bytes(packet, states)
    result = states[-1].result
    click.echo(f"The filter returned {result}: the packet {'matches' if result else 'does not match'}.")


def _bytes(skb: Skb, read: Read) -> str:
    found = skb.header_pointer(read.offset, read.size)
    return found.hex() if found is not None else ""


def _step(state: State, skb: Skb) -> dict[str, Any]:
    return {
        "pc": state.pc,
        "text": image(state.insn, state.pc),
        "a": state.a,
        "x": state.x,
        "mem": {str(cell): value for cell, value in enumerate(state.mem) if value is not None},
        "reads": [{"offset": read.offset, "size": read.size, "bytes": _bytes(skb, read)} for read in state.reads],
        "next": state.next,
        "ret": state.result,
    }


def _print_bytes(packet: CapturedPacket, states: list[State]) -> None:
    """The packet in hex; bytes that were looked at are in brackets. Lines without any at the end are left out."""
    looked = {at for state in states for read in state.reads for at in range(read.offset, read.offset + read.size)}
    shown = min(len(packet.data), (max(looked, default=0) // _LINE + 1) * _LINE)
    for start in range(0, shown, _LINE):
        line = enumerate(packet.data[start : start + _LINE], start)
        text = "".join(f"[{byte:02x}]" if at in looked else f" {byte:02x} " for at, byte in line)
        click.echo(f"{start:6x} {text}".rstrip())
    if shown < len(packet.data):
        click.echo(f"       ... {len(packet.data) - shown} more bytes")
