"""A visitor's process: what it may not do, whatever the screens let through."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.console import environment

CONFINED = """
import os, pathlib, socket, subprocess, sys, urllib.request
from kprobesim.serve.confine import Limits, confine, limit
confine(pathlib.Path.cwd())
try:
    exec(sys.argv[1])
except PermissionError as error:
    print("refused:", error)
"""


def confined(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, code], cwd=folder, capture_output=True, text=True, env=environment(),
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd')",
        "pathlib.Path('../../etc/passwd').read_text()",
        "os.open('/etc/hostname', os.O_RDONLY)",
        "os.listdir('/')",
        "os.listdir('..')",
        "open(os.path.expanduser('~root/.profile'))",
        "open('/tmp/kprobesim-visitor', 'w')",
        "os.open('/dev/null/../../tmp/x', os.O_CREAT | os.O_WRONLY)",
        "open(os.__file__, 'a')",
        "os.symlink('/etc/passwd', '/tmp/kprobesim-visitor')",
        "os.rename('/tmp/a', '/tmp/b')",
        "os.mkdir('/tmp/kprobesim-visitor')",
        "subprocess.run(['true'])",
        "os.system('true')",
        "os.execv('/bin/true', ['true'])",
        "os.fork()",
        "socket.create_connection(('127.0.0.1', 9))",
        "socket.socket().bind(('127.0.0.1', 0))",
        "socket.getaddrinfo('example.org', 80)",
    ],
)
def test_the_host_is_out_of_reach(code: str, tmp_path: Path) -> None:
    assert confined(code, tmp_path).startswith("refused: ")


def test_a_link_in_the_own_folder_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert confined("open('link')", tmp_path).startswith("refused: ")


@pytest.mark.parametrize(
    "code",
    [
        "open('mine', 'w').write('x'); print('done')",
        "os.mkdir('progress'); os.rename('progress', 'moved'); print('done')",
        "open(os.devnull, 'w').close(); print('done')",
        "import wave, sqlite3; print('done')",
        "from kprobesim.lab import Lab; lab = Lab.open('toyix'); lab.run(); print('done')",
        "from kprobesim.course import list_lessons; list_lessons(); print('done')",
    ],
)
def test_what_the_app_needs_still_works(code: str, tmp_path: Path) -> None:
    assert confined(code, tmp_path) == "done\n"


def test_a_named_teacher_is_the_one_address_that_can_be_reached(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as teacher, socket.create_server(("127.0.0.1", 0)) as other:
        named, another = (server.getsockname()[:2] for server in (teacher, other))
        script = f"""
import pathlib, socket
from kprobesim.serve.confine import confine
confine(pathlib.Path.cwd(), {named})
with socket.socket() as line:
    line.connect({named})
    print("reached")
with socket.socket() as line:
    line.connect({another})
"""
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, env=environment(), timeout=60,
            check=False,
        )  # fmt: skip
    assert done.stdout == "reached\n"
    assert "PermissionError" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
@pytest.mark.parametrize(
    ("limits", "code", "status"),
    [
        ("memory = 64 << 20", "held = bytearray(200 << 20); held[::4096] = b'x' * len(held[::4096])", 70),
        ("cpu_seconds = 1", "", -9),
    ],
)
def test_a_process_that_takes_too_much_ends(limits: str, code: str, status: int, tmp_path: Path) -> None:
    script = f"""
from kprobesim.serve.confine import Limits, limit
class Small(Limits):
    {limits}
limit(Small)
{code}
while True:
    pass
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, env=environment(), timeout=60, check=False
    )
    assert done.returncode == status


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system tells only the peak")
def test_what_the_process_held_that_started_it_does_not_count(tmp_path: Path) -> None:
    visitor = """
import time
from kprobesim.serve.confine import Limits, limit
class Small(Limits):
    memory = 200 << 20
limit(Small)
time.sleep(3)
"""
    host = f"""
import os, sys
held = bytearray(400 << 20)
held[::4096] = b'x' * len(held[::4096])
child = os.fork()
if child == 0:
    os.execv(sys.executable, [sys.executable, "-c", {visitor!r}])
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", host], cwd=tmp_path, env=environment(), timeout=60, check=False)
    assert done.returncode == 0
