"""A new lesson to begin with: small, complete, and in order."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kprobesim.course.strict import ID
from kprobesim.errors import BadInput

__all__ = ["new_lesson"]

_TOML: Final = '''\
# docs/lesson-authors.md explains every key.
format_version = 2
id = "{id}"
part = "machine"
title.en = "A first system call"
title.zh = "第一个系统调用"
summary.en = "A program asks the kernel for something."
summary.zh = "一个程序向内核请求服务。"
minutes = 10
prerequisites = []
differs.en = "There is no KPTI here: the page tables stay the same on entry."
differs.zh = "这里没有 KPTI：进入内核时不换页表。"

[start]
kernel = "toyix"
profile = "bare"
rewind = true          # the learner begins before the actions below; what they do is the known future
do = """
$ echo hello
"""

[[prediction]]
id = "which-ring"
question.en = "In which ring is the CPU just after the instruction syscall?"
question.zh = "执行 syscall 指令之后，CPU 在哪个 ring？"
explain.en = "syscall raises the CPU to ring 0; the kernel's code begins there."
explain.zh = "syscall 让 CPU 升到 ring 0，内核的代码从那里开始。"
machine = {{ after = "run until syscall\\nstep instruction", read = "ring" }}
[[prediction.option]]
text = "0"
value = 0
[[prediction.option]]
text = "3"
value = 3

[[task]]
id = "the-write"
title.en = "Stand at the system call write."
title.zh = "停在系统调用 write 处。"
solution = "run until syscall nr=1"
praise.en = "RAX holds the number: 1 is write."
praise.zh = "RAX 里是编号：1 就是 write。"
[[task.goal]]
kind = "at"
event = "syscall"
where = {{ nr = 1 }}
say.en = "The last event is the system call with number 1."
say.zh = "最后一个事件是编号为 1 的系统调用。"
[[task.hint]]
en = "Step forwards until the event says syscall, and look at its number."
zh = "往前走，直到事件是 syscall，看它的编号。"
[[task.hint]]
en = "run until syscall nr=1"
zh = "run until syscall nr=1"
'''

_EN: Final = """\
# A first system call

What this lesson is about, in two sentences.

## The call

Step forwards until `echo` asks the kernel to write.

<!-- predict which-ring -->

<!-- task the-write -->

## What you saw

- What the learner should keep.
"""

_ZH: Final = """\
# 第一个系统调用

用两句话说明本课讲什么。

## 调用

往前走，直到 `echo` 请求内核写出内容。

<!-- predict which-ring -->

<!-- task the-write -->

## 你看到了什么

- 学习者应当记住的内容。
"""


def new_lesson(folder: Path) -> None:
    """Write a small lesson that passes its own checks, to be changed from there.

    Args:
        folder: made anew; its name becomes the lesson's id.

    Raises:
        BadInput: it exists already, its name cannot be an id, or it cannot be written.
    """
    name = folder.resolve().name
    if not ID.fullmatch(name):
        raise BadInput(f"{name[:64]!r} cannot be a lesson's id.", hint="Use small letters, digits and hyphens.")
    try:
        folder.mkdir(parents=True)
        for file, text in (("lesson.toml", _TOML.format(id=name)), ("en.md", _EN), ("zh.md", _ZH)):
            (folder / file).write_text(text, encoding="utf-8")
    except FileExistsError:
        raise BadInput(f"{folder} exists already.", hint="Name a new folder.") from None
    except OSError as error:
        raise BadInput(f"{folder} cannot be written: {error.strerror}.") from None
