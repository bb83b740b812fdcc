"""The host's half of the guest's ``filter.c``: classic programs that filter system calls and packets.

A program is a ``struct bpf_prog`` in guest memory. Nothing is kept here but what follows from its bytes: to go back in
time takes no more than the memory.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from kprobesim.bpf import BoundProgram, Insn, Level, MemoryFault, Program, decode, encode, prog_tag
from kprobesim.bpf.classic import (
    BPF_MAXINSNS,
    SockFilter,
    bpf_check_classic,
    bpf_convert_filter,
    decode_filter,
    encode_filter,
    image_listing,
    seccomp_check_filter,
)
from kprobesim.bpf.errors import LoadError
from kprobesim.bpf.helpers import CALLS, Helper, HelperContext, SkbCall
from kprobesim.bpf.jit import JitError
from kprobesim.bpf.skb import layout as skb_at
from kprobesim.errors import GuestError
from kprobesim.kprobes import RunningKernel
from kprobesim.machine import Answer, Hypercall, VCpu
from kprobesim.tracing.bpf_jit import BpfJit, JitedCode
from kprobesim.tracing.bpf_runs import BpfRuns, Guard, RunningProgram, led_astray
from kprobesim.tracing.environment import Hit, KernelEnvironment, KernelMemory
from kprobesim.tracing.seccomp_names import action_name

__all__ = ["CompiledFilter", "Filters"]

_PROG: Final = struct.Struct("<HHIIIiIQQI")
"""struct bpf_prog of the guest's filter.h: jited, seccomp, len, jited_len, stack_depth, refcnt, orig_len, orig_prog,
bpf_func, id."""
_INSNS_AT: Final = 104
_JITED_AT, _LEN_AT, _JITED_LEN_AT, _STACK_DEPTH_AT, _BPF_FUNC_AT = 0, 4, 8, 12, 32
_REGS: Final = struct.Struct("<11Q")
_DATA: Final = struct.Struct("<iIQ6Q")
_MASK32: Final = (1 << 32) - 1
_MASK64: Final = (1 << 64) - 1
_REGISTER_ARGUMENTS: Final = 3
_MAX_ERRNO: Final = 4095
_SHOWN: Final = 64
_MOST_LINES: Final = 32
_MOST_INSNS: Final = 1 << 17
_MOST_BOUND: Final = 64
_CALLED: Final = frozenset(call.function for call in SkbCall)
"""What the machine code of a filter calls."""


class _FilterProgram(Program):
    """A converted program, which no verifier has seen: it may call what others cannot name."""

    def __init__(self, name: str, insns: tuple[Insn, ...]) -> None:
        self.name, self.type, self.license, self.level = name, "socket_filter", "GPL", Level.V3
        self.insns = self.resolved = insns
        self._maps, self.map_uses, self.used_maps, self.array_lookups = {}, {}, (), {}
        self.kprobe_override = self._tail_calls = False
        self.id = self.address = 0
        self.tag = prog_tag(insns)


class CompiledFilter(NamedTuple):
    """A filter that the kernel runs as machine code.

    Attributes:
        program: what it was converted to.
        jited: what that was compiled to.
        stack_depth: bytes of its stack.
    """

    program: Program
    jited: JitedCode
    stack_depth: int


@lru_cache(maxsize=64)
def _decoded(raw: bytes) -> tuple[Insn, ...]:
    return tuple(decode(raw))


class Filters:
    """Checks, converts, compiles and runs filters.

    Args:
        kernel: whose stubs are bound; one that has none simply has no filters.
        env: what programs ask of the machine.
        memory: guest memory.
        jit: compiles them if it is on.
        runs: shows the one that is running.
        run_loaded: runs a program that came in by bpf(2): its id, CPU, context, and the address above its stack or 0.
    """

    def __init__(
        self,
        kernel: RunningKernel,
        env: KernelEnvironment,
        memory: KernelMemory,
        jit: BpfJit,
        runs: BpfRuns,
        run_loaded: Callable[[int, int, int, int], Answer],
    ) -> None:
        self._kernel = kernel
        self._machine = kernel.machine
        self._env = env
        self._memory = memory
        self._jit = jit
        self._runs = runs
        self._run_loaded = run_loaded
        self._bound: dict[bytes, BoundProgram] = {}
        self._candidates: dict[int, set[int]] = {}
        """Entry of machine code -> each struct bpf_prog that was ever compiled to there; memory says which one is."""
        self._compiled: dict[tuple[int, bytes], CompiledFilter] = {}
        self._bind()

    def _bind(self) -> None:
        now: dict[str, Hypercall] = {
            "bpf_check_classic": self._check_classic,
            "seccomp_check_filter": self._check_seccomp,
            "bpf_convert_filter": self._convert,
            "___bpf_prog_run": self._run,
            "seccomp_report": self._report_syscall,
            "sk_filter_report": self._report_packet,
        }
        now |= {call.function: self._called_by_code(CALLS[call]) for call in SkbCall}
        # These two change the kernel's code.
        deferred: dict[str, Hypercall] = {"bpf_int_jit_compile": self._compile, "bpf_jit_free": self._free}
        self._kernel.bind(now, deferred)

    # Into the kernel

    def _check_classic(self, cpu: VCpu, insns: int, count: int, _: int) -> int:
        program = self._classic(insns, count)
        refused = self._judge(lambda: bpf_check_classic(program))
        if not refused:
            text = image_listing(program[:_MOST_LINES])
            self._machine.emit("filter.check", insns=count, text=text)
        return refused

    def _check_seccomp(self, cpu: VCpu, insns: int, count: int, _: int) -> int:
        def check() -> None:
            rewritten = seccomp_check_filter(self._classic(insns, count))
            self._kernel.write(insns, encode_filter(rewritten))

        return self._judge(check)

    def _classic(self, insns: int, count: int) -> tuple[SockFilter, ...]:
        """A classic program in guest memory; the kernel has looked at its length before."""
        return decode_filter(self._kernel.read(insns, 8 * min(count, BPF_MAXINSNS)))

    def _converted(self, cpu: VCpu, prog: int, count: int) -> bytes:
        """The instructions of a struct bpf_prog."""
        if not 0 < count <= _MOST_INSNS:
            raise GuestError(f"A struct bpf_prog claims {count:,} instructions.", report=self._machine.report(cpu))
        return self._kernel.read(prog + _INSNS_AT, 8 * count)

    def _judge(self, check: Callable[[], None]) -> int:
        try:
            check()
        except LoadError as error:
            insn = -1 if error.insn is None else error.insn
            self._machine.emit("filter.refuse", errno=int(error.errno), insn=insn, reason=error.hint)
            return -error.errno
        return 0

    def _convert(self, cpu: VCpu, insns: int, count: int, new_prog: int) -> int:
        made: list[int] = []

        def convert() -> None:
            converted = bpf_convert_filter(self._classic(insns, count))
            if new_prog:
                self._put(new_prog, _STACK_DEPTH_AT, converted.stack_depth)
                self._kernel.write(new_prog + _INSNS_AT, encode(converted.insns))
            made.append(len(converted.insns))

        return self._judge(convert) or made[0]

    def _put(self, prog: int, offset: int, value: int, size: int = 4) -> None:
        self._kernel.write(prog + offset, value.to_bytes(size, "little"))

    def _head(self, prog: int) -> tuple[int, ...]:
        return _PROG.unpack(self._kernel.read(prog, _PROG.size))

    def _compile(self, cpu: VCpu, prog: int, _: int, __: int) -> int:
        _jited, seccomp, count, _len, depth, *_rest = self._head(prog)
        insns = _decoded(self._converted(cpu, prog, count))
        fields: dict[str, Any] = {"prog": prog, "mode": "seccomp" if seccomp else "socket", "insns": count}
        name = f"bpf_prog_{prog_tag(insns)}"
        code = self._jit.install(insns, [name], stack_depth=depth, from_cbpf=True) if self._jit.enabled else None
        if code is not None:
            self._put(prog, _JITED_AT, 1, 2)
            self._put(prog, _JITED_LEN_AT, code[0].jited_len)
            self._put(prog, _BPF_FUNC_AT, code[0].entry, 8)
            fields["jited"] = code[0].entry
            fields["code"] = code[0].images[0].code[:_SHOWN]
            self._candidates.setdefault(code[0].entry, set()).add(prog)
        self._machine.emit("filter.load", **fields)
        return 0

    def _free(self, cpu: VCpu, prog: int, _: int, __: int) -> int:
        entry = self._head(prog)[-2]
        if not self._jit.uninstall(entry):
            raise GuestError(f"No program's code begins at {entry:#x}.", report=self._machine.report(cpu))
        return 0

    # Looked at

    def compiled_at(self, rip: int, rsp: int) -> CompiledFilter | None:
        """The filter whose machine code a CPU is in, or has called one of its functions from.

        Args:
            rip, rsp: of the CPU, which is in the kernel.
        """
        if not self._candidates:
            return None
        place = self._kernel.kallsyms.lookup_size_offset(rip)
        if place is None:
            return None
        if place[0].name in _CALLED:
            # The return address is on top of the stack, or above the rbp that the stub has pushed there.
            above = (self._kernel.read_u64(rsp + 8 * word) - 1 for word in range(2))
            places = (self._kernel.kallsyms.lookup_size_offset(address) for address in above)
            place = next((each for each in places if each is not None and each[0].module == "bpf"), place)
        if place[0].module != "bpf":
            return None
        entry = place[0].address
        found = (self._compiled_to(entry, prog) for prog in sorted(self._candidates.get(entry, ())))
        return next((each for each in found if each is not None), None)

    def _compiled_to(self, entry: int, prog: int) -> CompiledFilter | None:
        """The filter in a struct bpf_prog if it is what stands at an entry: it may have been freed since."""
        jited, seccomp, count, _, depth, *_rest, bpf_func, _id = self._head(prog)
        if not jited or bpf_func != entry or not 0 < count <= _MOST_INSNS:
            return None
        raw = self._kernel.read(prog + _INSNS_AT, 8 * count)
        known = self._compiled.get((entry, raw))
        if known is None:
            insns = _decoded(raw)
            try:
                code = self._jit.code_at(entry, insns, stack_depth=depth, from_cbpf=True)
            except JitError:
                return None
            program = _FilterProgram("seccomp filter" if seccomp else "socket filter", insns)
            if len(self._compiled) == _MOST_BOUND:
                self._compiled.clear()
            known = CompiledFilter(program, JitedCode(code, tuple(range(len(insns))), (), ()), depth)
            self._compiled[entry, raw] = known
        code = known.jited.code
        return known if self._kernel.read(entry, len(code.memory())) == code.memory() else None

    # Run

    def _run(self, cpu: VCpu, regs: int, insns: int, _: int) -> Answer:
        """___bpf_prog_run: from registers in guest memory to R0."""
        values = _REGS.unpack(self._kernel.read(regs, _REGS.size))
        _jited, seccomp, count, _len, depth, *_rest, number = self._head(insns - _INSNS_AT)
        if number:
            return self._run_loaded(number, cpu.number, values[1], values[10] if depth else 0)
        raw = self._converted(cpu, insns - _INSNS_AT, count)
        bound = self._bound.get(raw)
        if bound is None:
            if len(self._bound) == _MOST_BOUND:
                self._bound.clear()
            program = _FilterProgram("seccomp filter" if seccomp else "socket filter", _decoded(raw))
            bound = self._bound[raw] = BoundProgram(program, self._memory, self._env, around=self._runs.around)
        ctx, fp = values[1], values[10]
        return self._runs.run(RunningProgram(cpu.number, ctx, ctx, 0, 0, bound, None, Guard.CPU, fp))

    def _called_by_code(self, helper: Helper) -> Hypercall:
        """A function that machine code calls as the interpreter calls it."""
        context, count = HelperContext(self._memory, self._env, {}, None), len(helper.args)

        def call(cpu: VCpu, rdi: int, rsi: int, rdx: int) -> int:
            args = (rdi, rsi, rdx)[:count]
            if count > _REGISTER_ARGUMENTS:
                args += cpu.more_arguments()[: count - _REGISTER_ARGUMENTS]
            self._env.hit = Hit(cpu.number, 0, 0, 0, 0)
            try:
                result: int = helper.function(context, *args)
            except MemoryFault as fault:
                raise led_astray(helper, fault, self._machine.report(cpu)) from fault
            return result & _MASK64

        return call

    # Verdicts

    def _report_syscall(self, cpu: VCpu, data_at: int, ret: int, mode: int) -> int:
        nr, arch, ip, *args = _DATA.unpack(self._kernel.read(data_at, _DATA.size))
        task = self._kernel.current(cpu.number)
        data = ret & 0xFFFF
        action = action_name(ret & _MASK32)
        fields: dict[str, Any] = {"pid": task.pid, "comm": task.name, "nr": nr & _MASK32, "arch": arch, "ip": ip}
        fields |= {"args": args, "mode": "strict" if mode == 1 else "filter", "action": action}
        fields |= {"data": min(data, _MAX_ERRNO) if action == "ERRNO" else data, "ret": ret & _MASK32}
        self._machine.emit("seccomp.verdict", **fields)
        return 0

    def _report_packet(self, cpu: VCpu, skb: int, ret: int, cap: int) -> int:
        length = self._field(skb, skb_at.SKB_LEN, 4)
        packet = self._kernel.read(self._field(skb, skb_at.SKB_DATA, 8), min(length, _SHOWN))
        ret &= _MASK32
        kept = min(length, max(ret, cap)) if ret else 0
        verdict = "drop" if not ret else "trim" if kept < length else "keep"
        self._machine.emit("socket.verdict", skb=skb, len=length, ret=ret, kept=kept, verdict=verdict, packet=packet)
        return 0

    def _field(self, skb: int, offset: int, size: int) -> int:
        return int.from_bytes(self._kernel.read(skb + offset, size), "little")
