"""Disassembly is kept, and is never out of date."""

import pytest

from kprobesim.image import SymbolOverlay
from kprobesim.image.kallsyms import Kallsyms
from kprobesim.lab.listing import BAD, Listing

_CALL_NEXT_PAGE = bytes.fromhex("e8fb0f0000")
_AT = 0xFFFF_FFFF_A000_0000


@pytest.fixture
def overlay() -> SymbolOverlay:
    return SymbolOverlay(Kallsyms([], []))


def test_the_same_code_is_decoded_once(overlay: SymbolOverlay) -> None:
    listing = Listing(overlay)
    assert listing.decode(_CALL_NEXT_PAGE, _AT) is listing.decode(bytes(_CALL_NEXT_PAGE), _AT)


def test_a_name_that_comes_or_goes_changes_the_text(overlay: SymbolOverlay) -> None:
    listing = Listing(overlay)
    plain = listing.decode(_CALL_NEXT_PAGE, _AT)[0].text
    symbol = overlay.add("kprobe_insn_page", _AT + 0x1000, 0x1000)
    assert "kprobe_insn_page" not in plain
    assert "kprobe_insn_page" in listing.decode(_CALL_NEXT_PAGE, _AT)[0].text
    overlay.remove(symbol)
    assert listing.decode(_CALL_NEXT_PAGE, _AT)[0].text == plain


def test_bytes_that_are_no_instruction_are_said_to_be_none(overlay: SymbolOverlay) -> None:
    assert Listing(overlay).decode(b"\x06", _AT) == ((_AT, b"\x06", BAD),)
