"""The program's functions as its types describe them: global ones are verified alone, for any arguments.

Follows Linux kernel/bpf/btf.c: btf_check_func_arg_match, btf_check_subprog_call, btf_prepare_func_args.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from kprobesim.bpf.verifier.errors import Rejected
from kprobesim.bpf.verifier.reg import Reg
from kprobesim.bpf.verifier.reg_type import PTR_MAYBE_NULL, PTR_TO_CTX, PTR_TO_MEM, SCALAR_VALUE
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = [
    "CTX",
    "NUMBER",
    "FunctionType",
    "Parameter",
    "Unsized",
    "Unsupported",
    "caller_passes",
    "check_main_arguments",
    "prepare_arguments",
]

NUMBER, CTX = "number", "ctx"
_MOST_ARGUMENTS = 5


class Unsized(NamedTuple):
    """A pointer to something without a size: its kind, as ``UNKNOWN`` or ``FWD``, and its name."""

    kind: str
    name: str


class Unsupported(NamedTuple):
    """Neither a number nor a pointer: its kind, as ``STRUCT``."""

    kind: str


Parameter = str | int | Unsized | Unsupported
"""NUMBER, CTX, the size in bytes of what is pointed to, or what cannot be passed."""


class FunctionType(NamedTuple):
    """One function.

    Attributes:
        name: as the source calls it.
        is_global: whether it is not static.
        parameters: what it takes.
        returns_number: whether it gives an integer.
        type_id: its number among the program's types.
    """

    name: str
    is_global: bool
    parameters: Sequence[Parameter] = ()
    returns_number: bool = True
    type_id: int = 0


def _passes(env: "Env", function: FunctionType, is_call: bool = True) -> bool:
    """Whether the registers fit the parameters; if not, the log says why."""
    from kprobesim.bpf.verifier.func_args import check_memory_argument, check_reg_off

    say = env.log.write
    values = env.frame.values
    if len(function.parameters) > _MOST_ARGUMENTS:
        say(f"Function {function.name} has {len(function.parameters)} > {_MOST_ARGUMENTS} args\n")
        return False
    for number, parameter in enumerate(function.parameters):
        regno = number + 1
        reg = values[regno]
        if parameter == NUMBER:
            if reg.type != SCALAR_VALUE:
                say(f"R{regno} is not a scalar\n")
                return False
            continue
        if isinstance(parameter, Unsupported):
            say(f"Unrecognized arg#{number} type {parameter.kind}\n")
            return False
        check_reg_off(env, regno, reg)
        if parameter == CTX:
            if reg.type != PTR_TO_CTX:
                say(f"arg#{number} expected pointer to ctx, but got PTR\n")
                return False
        elif not (function.is_global and is_call):
            say(f"reg type unsupported for arg#{number} function {function.name}#{function.type_id}\n")
            return False
        elif isinstance(parameter, Unsized):
            say(f"{_unsized(number, parameter)}\n")
            return False
        else:
            assert isinstance(parameter, int)
            check_memory_argument(env, regno, parameter)
    return True


def _unsized(number: int, parameter: Unsized) -> str:
    return f"arg#{number} reference type('{parameter.kind} {parameter.name}') size cannot be determined: -22"


def check_main_arguments(env: "Env") -> None:
    """Whether the program's first function takes a context; if not the log says so, and nothing else comes of it."""
    if env.functions:
        _fits(env, 0, is_call=False)


def _fits(env: "Env", subprog: int, is_call: bool) -> bool:
    assert env.functions is not None
    if subprog in env.unreliable:
        return False
    try:
        fits = _passes(env, env.functions[subprog], is_call)
    except Rejected:
        fits = False
    if not fits:
        env.unreliable.add(subprog)
    return fits


def caller_passes(env: "Env", subprog: int) -> bool:
    """Whether a call needs no look into the function: it is global, and the arguments fit its types."""
    functions = env.functions
    if not functions:
        return False
    function = functions[subprog]
    fits = _fits(env, subprog, is_call=True)
    if not function.is_global:
        return False
    if not fits:
        env.reject(Errno.EINVAL, f"Caller passes invalid args into func#{subprog}")
    if env.log.per_insn:
        env.log.write(f"Func#{subprog} is global and valid. Skipping.\n")
    return True


def prepare_arguments(env: "Env", subprog: int) -> list[Reg]:
    """R1 and on of a global function, for any arguments that its types allow."""
    functions = env.functions
    assert functions is not None
    function = functions[subprog]
    name = function.name
    if env.log.per_insn:
        env.log.write(f"Validating {name}() func#{subprog}...\n")
    if len(function.parameters) > _MOST_ARGUMENTS:
        count = f"{len(function.parameters)} > {_MOST_ARGUMENTS} args"
        env.reject(Errno.EINVAL, f"Global function {name}() with {count}. Buggy compiler.")
    if not function.returns_number:
        said = f"Global function {name}() doesn't return scalar. Only those are supported."
        env.reject(Errno.EINVAL, said)
    made = []
    for number, parameter in enumerate(function.parameters):
        if parameter == NUMBER:
            made.append(env.unknown)
        elif parameter == CTX:
            made.append(env.pointer(PTR_TO_CTX))
        elif isinstance(parameter, Unsupported):
            env.reject(Errno.EINVAL, f"Arg#{number} type {parameter.kind} in {name}() is not supported yet.")
        elif isinstance(parameter, Unsized):
            env.reject(Errno.EINVAL, _unsized(number, parameter))
        else:
            # Linux numbers it twice.
            env.new_id()
            made.append(env.pointer(PTR_TO_MEM | PTR_MAYBE_NULL, extent=int(parameter), id=env.new_id()))
    return made
