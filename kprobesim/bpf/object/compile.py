"""C to a BPF object: calls clang, or the clang inside zig, with the headers that a program here includes.

`vmlinux.h` is made from the kernel's types, `bpf/bpf_helper_defs.h` from the list of helpers, the rest of `bpf/` lies
beside this file.
"""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kprobesim.bpf.object.errors import ObjectError
from kprobesim.bpf.object.helper_header import helper_header
from kprobesim.errors import BadInput
from kprobesim.image import Btf
from kprobesim.image.btf_header import c_header

__all__ = ["build_object", "find_compiler", "write_headers"]

_TIMEOUT = 120
_FLAGS = ("-g", "-O2", "-Wall", "-Wno-unused-function", "-D__TARGET_ARCH_x86", "-D__BPF_TRACING__")


def find_compiler() -> list[str] | None:
    """The command that compiles C for BPF, its target included; None if there is none on this computer."""
    clang = shutil.which("clang")
    if clang is not None:
        return [clang, "-target", "bpfel"]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc", "-target", "bpfel-freestanding"]
    return None


def write_headers(folder: Path, btf: Btf) -> None:
    """Write vmlinux.h and the folder bpf/ into a folder."""
    (folder / "vmlinux.h").write_text(c_header(btf), encoding="utf-8")
    target = folder / "bpf"
    target.mkdir(exist_ok=True)
    for header in sorted((Path(__file__).parent / "include" / "bpf").glob("*.h")):
        (target / header.name).write_text(header.read_text(encoding="utf-8"), encoding="utf-8")
    known = frozenset(value.name for entry in btf for value in entry.enumerators)
    (target / "bpf_helper_defs.h").write_text(helper_header(known), encoding="utf-8")


def build_object(source: Path, output: Path, btf: Btf, options: Sequence[str] = ()) -> str:
    """Compile one file.

    Args:
        source: the C file.
        output: where the object goes.
        btf: types of the kernel, for vmlinux.h.
        options: further options of the compiler.

    Returns:
        What the compiler had to say: its warnings.

    Raises:
        BadInput: there is no compiler, or no such file.
        ObjectError: the compiler refused the program; its messages are in the hint.
    """
    command = find_compiler()
    if command is None:
        raise BadInput(
            "There is no compiler for BPF here.",
            hint="Install clang with your system's packages, or run: pip install 'kprobesim[cc]'.",
        )
    if not source.is_file():
        raise BadInput(f"{source} does not exist.")
    with tempfile.TemporaryDirectory() as folder:
        write_headers(Path(folder), btf)
        # The file is named without its folder, so that no object depends on where it was built.
        words = [*command, *_FLAGS, *options, f"-I{folder}", "-I.", f"-ffile-prefix-map={folder}=.",
                 "-fdebug-compilation-dir=.", "-c", source.name, "-o", str(output.resolve())]  # fmt: skip
        try:
            done = subprocess.run(
                words, cwd=source.resolve().parent, capture_output=True, text=True, timeout=_TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            raise ObjectError(f"{source.name}: the compiler did not end within {_TIMEOUT} seconds.") from None
    if done.returncode:
        raise ObjectError(f"{source.name} does not compile.", hint=f"\n{done.stderr.strip()}")
    return done.stderr
