"""Recordings on disk: JSON, written whole or not at all, read with suspicion."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Final

from kprobesim.errors import BadInput, KprobesimError
from kprobesim.lab.recording.recording import Recording

__all__ = ["LARGEST", "load_recording", "parse_recording", "recording_bytes", "save_recording", "write_whole"]

LARGEST: Final = 16 << 20
"""Bytes of a recording, at most."""


def save_recording(recording: Recording, path: Path) -> None:
    """Write a recording beside the old file and then put it in its place.

    Raises:
        KprobesimError: it cannot be written; what was there before is still there.
    """
    write_whole(path, recording_bytes(recording))


def recording_bytes(recording: Recording) -> bytes:
    """What stands in a recording's file."""
    text = json.dumps(recording.as_json(), ensure_ascii=False, indent=1) + "\n"
    return text.encode(errors="replace")


def write_whole(path: Path, data: bytes) -> None:
    """Put a file in its place in one piece: a full disk or a killed process leaves the old one.

    What is there and is no file, such as a terminal or a pipe, is written to and stays what it is.

    Raises:
        KprobesimError: it cannot be written.
    """
    if path.exists() and not path.is_file():
        try:
            path.write_bytes(data)
        except OSError as error:
            raise KprobesimError(f"{path} cannot be written: {error.strerror}.") from None
        return
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise KprobesimError(f"{path} cannot be written: {error.strerror}.") from None
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise KprobesimError(f"{path} cannot be written: {error.strerror}.") from None


def load_recording(path: Path) -> Recording:
    """Read a recording.

    Raises:
        BadInput: the file cannot be read, is cut off, of another version, or makes no sense.
    """
    try:
        with path.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    return parse_recording(data, str(path))


def parse_recording(data: bytes, path: str) -> Recording:
    """A recording out of the bytes of its file, wherever they come from.

    Args:
        data: all of them; no more than `LARGEST` are looked at.
        path: for messages, what the bytes are called.

    Raises:
        BadInput: they are cut off, of another version, or make no sense.
    """
    if len(data) > LARGEST:
        raise BadInput(f"{path} is larger than {LARGEST:,} bytes: not a recording.")
    try:
        plain: Any = json.loads(data.decode())
    except json.JSONDecodeError as error:
        if error.pos >= len(error.doc.rstrip()) - 1 or error.msg.startswith("Unterminated"):
            raise BadInput(
                f"{path} ends before it is complete (line {error.lineno}).", hint="Was it copied whole?"
            ) from None
        raise BadInput(f"{path} is not a recording: line {error.lineno}: {error.msg}.") from None
    except (ValueError, RecursionError):
        raise BadInput(f"{path} is not a recording: it is not JSON text.") from None
    try:
        return Recording.from_json(plain)
    except BadInput as error:
        raise BadInput(f"{path}: {error.message}", hint=error.hint) from None
