"""What a visitor's process may not do, whoever sits at its keys.

Nothing that a visitor types is run on the host: the machine behind the screen is simulated. Behind that stands this, so
that a mistake in a screen does not open the host either: the process reads files of Python and of kprobesim and its own
folder, writes only there, starts no other process and opens no connection but to a teacher whom the host named. Where
the system knows limits (`HAS_LIMITS`) it has such for processor time, memory and files, and ends with the server.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

if sys.platform != "win32":
    import resource

__all__ = ["HAS_LIMITS", "Limits", "confine", "limit"]

HAS_LIMITS: Final = sys.platform != "win32"
"""Whether `limit` can set the limits of the process, and see that the server is gone."""

_ALWAYS: Final = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"})
_NETWORK: Final = frozenset({"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"})
_OWN_COMPUTER: Final = ("127.0.0.1", "::1")
_READING: Final = frozenset({"os.listdir", "os.scandir", "os.chdir"})
_WRITING: Final = frozenset(
    {"os.mkdir", "os.rmdir", "os.remove", "os.rename", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"}
)
_JUDGED: Final = _ALWAYS | _NETWORK | _READING | _WRITING | {"open"}
_TO_WRITE: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PLAIN: Final = ("/dev/null", "/dev/urandom", "/proc/self/", "/etc/localtime", "/usr/share/zoneinfo/")
_WATCH_SECONDS: Final = 1.0
_EXIT_MEMORY: Final = 70
_MIB: Final = 1 << 20


class Limits:
    """What one visitor may use.

    Attributes:
        cpu_seconds: of processor time.
        memory: resident bytes.
        file_bytes: the largest file that can be written.
        open_files: at once.
    """

    cpu_seconds = 3600
    memory = 1 << 30
    file_bytes = 16 * _MIB
    open_files = 128


def confine(folder: Path, teacher: tuple[str, int] | None = None) -> None:
    """Shut this process in, for good. To be called once all that a visitor does not choose has been loaded.

    Args:
        folder: the visitor's own.
        teacher: the one address, as numbers, to which connections may be made.
    """
    own = _real(folder)
    readable = (own, *_own_code())

    def refuse(event: str, what: object) -> None:
        raise PermissionError(f"A visitor's session may not do this: {event} {str(what)[:200]}")

    def judge(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _JUDGED:
            return
        if event in _ALWAYS or (event in _NETWORK and not _may_connect(event, arguments, teacher)):
            refuse(event, "")
        elif event == "open":
            path, mode, flags = arguments[:3]
            if isinstance(path, int):
                return  # open already
            writes = (isinstance(mode, str) and set(mode) & set("wxa+")) or (flags or 0) & _TO_WRITE
            if not _lies_in(path, (own,) if writes and str(path) != os.devnull else readable):
                refuse(event, path)
        elif event in _READING:
            if not isinstance(arguments[0], int) and not _lies_in(arguments[0] or ".", readable):
                refuse(event, arguments[0])
        elif event in _WRITING:
            for path in arguments:
                if isinstance(path, str | bytes | os.PathLike) and not _lies_in(path, (own,)):
                    refuse(event, path)

    sys.addaudithook(judge)


def limit(limits: type[Limits] = Limits) -> None:
    """Set the limits, and end with whoever started this process; nothing where the system knows no limits."""
    if sys.platform != "win32":
        _limit(limits)
        _watch(limits.memory)


if sys.platform != "win32":

    def _limit(limits: type[Limits]) -> None:
        for what, amount in (
            (resource.RLIMIT_CPU, limits.cpu_seconds),
            (resource.RLIMIT_FSIZE, limits.file_bytes),
            (resource.RLIMIT_NOFILE, limits.open_files),
            (resource.RLIMIT_CORE, 0),
        ):
            _, most = resource.getrlimit(what)
            amount = amount if most == resource.RLIM_INFINITY else min(amount, most)
            resource.setrlimit(what, (amount, amount))
        os.nice(5)

    def _watch(most: int) -> None:
        parent, resident = os.getppid(), _memory_meter()

        def watch() -> None:
            while True:
                time.sleep(_WATCH_SECONDS)
                if os.getppid() != parent:
                    os._exit(0)
                if resident() > most:
                    sys.__stderr__ and print(f"more than {most // _MIB:,} MiB of memory", file=sys.__stderr__)
                    os._exit(_EXIT_MEMORY)

        threading.Thread(target=watch, name="watch", daemon=True).start()

    def _memory_meter() -> Callable[[], int]:
        """What tells how many bytes of memory this process holds.

        An emulated CPU reserves a gibibyte of addresses and uses little of it: only what is resident can be judged.
        """
        try:
            # Not the peak that getrusage tells: that begins with what the process held which this one was forked from.
            statm = os.open("/proc/self/statm", os.O_RDONLY)
        except OSError:
            unit = 1 if sys.platform == "darwin" else 1024
            return lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        page = os.sysconf("SC_PAGE_SIZE")
        return lambda: int(os.pread(statm, 256, 0).split()[1]) * page


def _may_connect(event: str, arguments: tuple[Any, ...], teacher: tuple[str, int] | None) -> bool:
    address = arguments[1] if len(arguments) > 1 else None
    if not isinstance(address, tuple) or len(address) < 2:
        return False
    if event == "socket.connect" and teacher is not None and address[:2] == teacher:
        return True
    # Windows has no socketpair; asyncio makes one for itself out of two ends of a connection.
    return os.name == "nt" and address[0] in _OWN_COMPUTER


def _own_code() -> list[str]:
    """Folders of Python, of the packages, of kprobesim with its kernels and lessons; and a few harmless files."""
    package = Path(str(files("kprobesim")))
    folders = [package, package.parent / "kernels", package.parent / "lessons"]
    folders += [Path(path) for name, path in sysconfig.get_paths().items() if name.endswith(("lib", "stdlib"))]
    folders += [Path(entry) for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    return [*(_real(folder) for folder in folders), *_PLAIN]


def _real(path: Any) -> str:
    return os.path.realpath(os.fsdecode(path))


def _lies_in(path: Any, folders: tuple[str, ...]) -> bool:
    real = _real(path)
    return any(real == folder.rstrip("/") or real.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)
