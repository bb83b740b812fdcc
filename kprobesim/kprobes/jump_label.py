"""Static branches: conditions that are in the code itself, a nop while they are off and a jump while they are on.

Follows Linux 6.1 kernel/jump_label.c and arch/x86/kernel/jump_label.c. All state is the guest's: the count in each
``struct static_key`` and the bytes at each site of ``__jump_table``.
"""

from __future__ import annotations

from typing import Final

from kprobesim.errors import GuestError
from kprobesim.image import JumpEntry
from kprobesim.kprobes.kernel import RunningKernel
from kprobesim.kprobes.text_poke import TextPoke

__all__ = ["JumpLabels"]

_NOPS: Final = {2: bytes.fromhex("6690"), 5: bytes.fromhex("0f1f440000")}
_JMP8, _JMP32 = 0xEB, 0xE9


class JumpLabels:
    """The static keys of one kernel, and the places in its code that ask them.

    Args:
        kernel: whose ``__jump_table``.
        text: what writes into its code.
    """

    def __init__(self, kernel: RunningKernel, text: TextPoke) -> None:
        self._kernel = kernel
        self._text = text
        self._sites: dict[int, list[JumpEntry]] = {}
        self._sizes: dict[int, int] = {}
        for entry in kernel.tables.jump_table:
            self._sites.setdefault(entry.key, []).append(entry)

    # Looking

    def sites(self, key: int) -> tuple[JumpEntry, ...]:
        """The static branches that ask the key at this address."""
        return tuple(self._sites.get(key, ()))

    def static_key_count(self, key: int) -> int:
        """How many want the key to be on."""
        return int.from_bytes(self._kernel.read(key, 4), "little", signed=True)

    def jump_label_text_reserved(self, start: int, end: int) -> JumpEntry | None:
        """The static branch that shares a byte with a stretch of code, or None.

        Args:
            start, end: address of its first byte and of its last.
        """
        for entry in self._kernel.tables.jump_table:
            if entry.code <= end and entry.code + self._size(entry) > start:
                return entry
        return None

    def _size(self, entry: JumpEntry) -> int:
        """``arch_jump_entry_size``: 2 bytes or 5, as the compiler has chosen."""
        if entry.code not in self._sizes:
            text = self._kernel.image.read(entry.code, 2)
            self._sizes[entry.code] = 2 if text == _NOPS[2] or text[0] == _JMP8 else 5
        return self._sizes[entry.code]

    # Turning keys

    def static_key_slow_inc(self, key: int) -> None:
        """One more wants the key to be on; the first one has its sites patched.

        Args:
            key: address of a ``struct static_key``.

        Raises:
            GuestError: the code at a site is not what was written there.
        """
        count = self.static_key_count(key)
        if count == 0:
            self._update(key, enabled=True)
        self._kernel.write(key, (count + 1).to_bytes(4, "little", signed=True))
        if count == 0:
            self._emit("static_key.enable", key)

    def static_key_slow_dec(self, key: int) -> None:
        """One fewer; with the last one the sites are patched back.

        Args:
            key: address of a ``struct static_key`` that is on.

        Raises:
            GuestError: the code at a site is not what was written there.
        """
        count = self.static_key_count(key)
        assert count > 0, "each decrement has had its increment"
        self._kernel.write(key, (count - 1).to_bytes(4, "little", signed=True))
        if count == 1:
            self._update(key, enabled=False)
            self._emit("static_key.disable", key)

    def _emit(self, kind: str, key: int) -> None:
        place = self._kernel.kallsyms.lookup_size_offset(key)
        name = place[0].name if place else f"{key:#x}"
        self._kernel.machine.emit(kind, key=key, name=name, sites=len(self._sites.get(key, ())))

    def _update(self, key: int, *, enabled: bool) -> None:
        """``jump_label_update``: make every site what the key now says."""
        self._text.finish()  # what is under way would be taken for a site that somebody has changed
        for entry in self._sites.get(key, ()):
            jump, nop = self._jump(entry), _NOPS[self._size(entry)]
            wanted, expected = (jump, nop) if enabled != entry.branch else (nop, jump)
            self._transform(entry, expected, wanted)
        self._text.text_poke_finish()

    def _jump(self, entry: JumpEntry) -> bytes:
        """``text_gen_insn``: the jump from a site to its target."""
        if self._size(entry) == 2:
            return bytes([_JMP8]) + (entry.target - entry.code - 2).to_bytes(1, "little", signed=True)
        return bytes([_JMP32]) + (entry.target - entry.code - 5).to_bytes(4, "little", signed=True)

    def _transform(self, entry: JumpEntry, expected: bytes, wanted: bytes) -> None:
        """``__jump_label_patch``: look first, as patching the wrong place cannot be taken back."""
        found = self._kernel.read(entry.code, len(expected))
        if found != expected:
            where = self._kernel.kallsyms.symbolize(entry.code)
            raise GuestError(
                f"jump_label: Fatal kernel bug, unexpected op at {where} "
                f"({found.hex(' ')} != {expected.hex(' ')}), size:{len(expected)}.",
                hint="Somebody has changed the code of a static branch.",
            )
        self._text.text_poke_queue(entry.code, wanted)
