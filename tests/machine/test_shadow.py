"""What is in RAM is found by comparison, and put back page by page."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.machine import PAGE_SIZE, PhysicalMemory
from kprobesim.machine.shadow import Shadow

_PAGES = 70
_WRITES = st.lists(st.tuples(st.integers(0, _PAGES * PAGE_SIZE - 8), st.binary(min_size=1, max_size=8)), max_size=20)


def test_a_page_that_nobody_wrote_to_is_the_same_object() -> None:
    ram = PhysicalMemory(_PAGES * PAGE_SIZE)
    shadow = Shadow(ram)
    before = shadow.pages()
    ram.write(33 * PAGE_SIZE + 7, b"x")
    after = shadow.pages()
    assert [number for number in range(_PAGES) if after[number] is not before[number]] == [33]


@settings(max_examples=50)
@given(_WRITES, _WRITES)
def test_what_was_there_can_be_put_back(first: list[tuple[int, bytes]], then: list[tuple[int, bytes]]) -> None:
    ram = PhysicalMemory(_PAGES * PAGE_SIZE)
    shadow = Shadow(ram)
    for place, data in first:
        ram.write(place, data)
    pages, whole = shadow.pages(), ram.read(0, ram.size)
    for place, data in then:
        ram.write(place, data)
    shadow.restore(pages)
    assert ram.read(0, ram.size) == whole == b"".join(pages)
    assert shadow.pages() == pages
