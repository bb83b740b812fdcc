"""Answers to the requests of ``kprobesim bpf batch``; see ``answer``."""

from typing import Any

from kprobesim.bpf.check import check_program
from kprobesim.bpf.environment import BenchEnvironment
from kprobesim.bpf.errors import LoadError
from kprobesim.bpf.isa import Level, decode
from kprobesim.bpf.memory import FlatMemory
from kprobesim.bpf.program import Program
from kprobesim.bpf.verifier import verify_request
from kprobesim.errors import KprobesimError

__all__ = ["answer", "run_hex"]

_BASE = 0x10000
_LARGEST = 1 << 24
_FRAMES_BELOW = 8 * 512


def run_hex(insns: str, mem: str = "", mem_size: int | None = None, stack: int = 512, engine: str = "interp") -> int:
    """Run a program of level V4 on a bench: R1 is the address of the memory (0 without), R2 its size in bytes.

    Args:
        insns: the program in hex.
        mem: first bytes of the memory in hex; the rest is zero.
        mem_size: bytes of memory, as many as ``mem`` has unless told.
        stack: bytes of stack of the first function.
        engine: ``interp``, or ``jit`` for x86-64 code on an emulated CPU.

    Returns:
        R0, unsigned 64 bits.

    Raises:
        ValueError: hex that is none, sizes out of reason.
        LoadError, RunError: see Program and BoundProgram.run.
        JitError: see kprobesim.bpf.jit.
    """
    if engine not in ("interp", "jit"):
        raise ValueError(f"there is no engine {engine!r}: it is interp or jit")
    content = bytes.fromhex(mem)
    size = len(content) if mem_size is None else mem_size
    if not len(content) <= size <= _LARGEST or not 0 <= stack <= _LARGEST:
        raise ValueError(f"a memory of {size} bytes for {len(content)} bytes, or a stack of {stack}, makes no sense")
    program = Program("bench", "kprobe", decode(bytes.fromhex(insns)), level=Level.V4)
    if engine == "jit":
        from kprobesim.bpf.jit.standalone import run_jited  # the emulator takes 100 ms to import

        return run_jited(program, content, size, stack)
    stack_top = _BASE + _FRAMES_BELOW + (stack + 7 & ~7)
    memory = FlatMemory(_BASE, stack_top - _BASE + size)
    memory.write(stack_top, content)
    return program.bind(memory, BenchEnvironment()).run(stack_top if size else 0, stack_top, size)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answer one request; errors are answers too.

    ``{"op": "run", "engine": "interp|jit", "insns": HEX, "mem": HEX, "mem_size": N, "stack": N}`` gives ``r0`` in hex;
    ``{"op": "decode", "insns": HEX}`` gives ``ok``; ``{"op": "verify", "insns": HEX, ..}`` gives ``errno`` and ``log``,
    see verify_request; ``cbpf_check`` and ``cbpf_run`` are about classic filters, see kprobesim.bpf.classic.request.
    An ``id`` comes back as it went in.
    """
    reply: dict[str, Any] = {"id": request["id"]} if "id" in request else {}
    try:
        op = request.get("op")
        if op == "run":
            r0 = run_hex(
                request["insns"],
                request.get("mem", ""),
                request.get("mem_size"),
                request.get("stack", 512),
                request.get("engine", "interp"),
            )
            reply["r0"] = f"{r0:#x}"
        elif op == "decode":
            reply["ok"] = True
            try:
                check_program(decode(bytes.fromhex(request["insns"])), Level.V4)
            except LoadError as refused:
                reply |= {"ok": False, "error": str(refused)}
        elif op == "verify":
            verdict = verify_request(request)
            reply |= {"errno": verdict.errno, "log": verdict.log}
        elif op in ("cbpf_check", "cbpf_run"):
            from kprobesim.bpf.classic.request import cbpf_check, cbpf_run  # nobody else here needs classic filters

            reply |= cbpf_check(request) if op == "cbpf_check" else cbpf_run(request)
        else:
            raise ValueError(f"there is no request {op!r}: it is run, decode, verify, cbpf_check or cbpf_run")
    except KeyError as missing:
        reply["error"] = f"the request lacks {missing}"
    except (KprobesimError, ValueError, TypeError, AttributeError, OverflowError) as problem:
        # Fields may be of any kind that JSON has, and each is used as what it should be.
        reply["error"] = str(problem)
    return reply
