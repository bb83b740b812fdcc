"""A small lesson of the tests' own: pages of steps, a prediction, a question, panels to look at."""

from __future__ import annotations

from pathlib import Path

from kprobesim.course import Lesson, read_lesson

__all__ = ["walked_lesson"]

_TOML = '''\
format_version = 2
id = "walked"
part = "kprobes"
title.en = "Walked"
title.zh = "走一遍"
summary.en = "Steps and panels."
summary.zh = "步骤和面板。"
minutes = 1
narration = "brief"
differs.en = "Nothing."
differs.zh = "没有。"

[start]
profile = "bare"
optimization = false
rewind = true
do = """
probe vfs_read
$ cat /home/notes.txt
"""

[[task]]
id = "armed"
title.en = "Step until the probe is armed."
title.zh = "走到 probe 装好的那一刻。"
solution = "step 3"
praise.en = "One byte."
praise.zh = "一个字节。"
[[task.goal]]
kind = "memory"
place = "vfs_read"
bytes = "cc"

[[prediction]]
id = "saved-ip"
question.en = "Which address will the CPU save?"
question.zh = "CPU 会保存哪个地址？"
explain.en = "int3 is a trap."
explain.zh = "int3 属于 trap。"
right = 2
[[prediction.option]]
text = "vfs_read+0x0"
[[prediction.option]]
text = "vfs_read+0x1"

[[task]]
id = "the-gate"
title.en = "Stand at the gate."
title.zh = "停在 gate 处。"
solution = """
run until kprobe.hit
back 2
"""
[[task.goal]]
kind = "at"
event = "gate"
say.en = "The last event is gate."
say.zh = "最后一个事件是 gate。"

[[task]]
id = "which"
title.en = "Answer."
title.zh = "回答。"
solution = "answer which 1"
[[task.goal]]
kind = "answer"
question.en = "Which number has the trap?"
question.zh = "trap 是几号？"
is = 1
[[task.goal.option]]
text = "3"
[[task.goal.option]]
text = "14"
'''

_EN = """\
# Walked

A probe is set.

```events
→  input
→  kprobe.prepare
→  text.poke
```

<!-- task armed -->

The byte is there.

## Second

What will it be?

<!-- predict saved-ip -->

Now press **Space**, then **←** twice.

```seen
Space  kprobe_int3_handler  kprobe_int3_handler+0x9  IF 0  HIT_ACTIVE
←  pt_regs  exc_int3+0x0  IF 0  NONE
←  gate  asm_exc_int3+0x0  IF 0  NONE
```

<!-- show stack -->

Five words.

<!-- task the-gate -->

## Third

<!-- show maps -->

A question.

<!-- task which -->

## End

Done.
"""
_ZH = (
    _EN.replace("# Walked", "# 走一遍")
    .replace("A probe is set.", "设一个 probe。")
    .replace("The byte is there.", "字节在那里。")
    .replace("Second", "第二页")
    .replace("What will it be?", "会是什么？")
    .replace("Now press **Space**, then **←** twice.", "按 **Space**，再按两次 **←**。")
    .replace("Five words.", "五个字。")
    .replace("Third", "第三页")
    .replace("A question.", "一个问题。")
    .replace("# End", "# 结尾")
    .replace("Done.", "完了。")
)


def walked_lesson(folder: Path) -> Lesson:
    """Write it, and read it.

    Args:
        folder: where a folder for it is made.
    """
    home = folder / "walked"
    home.mkdir()
    for name, text in (("lesson.toml", _TOML), ("en.md", _EN), ("zh.md", _ZH)):
        (home / name).write_text(text, encoding="utf-8")
    return read_lesson(home)
