"""Would the random programs notice? An error is planted in the verifier, and programs are played until one shows it.

python -m tests.bpf.verifier.soundness.planted --programs 3000 [NAME ...]
"""

import argparse
import sys
from typing import Any

from tests.bpf.verifier.soundness.plant import Plant
from tests.bpf.verifier.soundness.planted_memory import MEMORY
from tests.bpf.verifier.soundness.planted_numbers import NUMBERS
from tests.bpf.verifier.soundness.play import Trouble, play_many

__all__ = ["ERRORS", "found_after"]

ERRORS = NUMBERS | MEMORY


def found_after(plant: Plant, programs: int, seed: int) -> tuple[int, str] | None:
    """How many programs it took to notice, and what was noticed; None if nothing was."""
    kept: list[tuple[Any, str, Any]] = []

    def put(where: Any, name: str, value: Any) -> None:
        kept.append((where, name, getattr(where, name, None)))
        setattr(where, name, value)

    plant(put)
    try:
        play_many(programs, seed, quiet=True)
    except Trouble as trouble:
        return trouble.number + 1, trouble.what
    except (ArithmeticError, LookupError) as broken:
        return programs, f"the verifier breaks: {broken!r}"
    finally:
        for where, name, value in reversed(kept):
            setattr(where, name, value)
    return None


def main() -> None:
    """Plant one error after the other and say which were noticed."""
    parser = argparse.ArgumentParser(description="Play random programs against a verifier with an error in it.")
    parser.add_argument("--programs", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("names", nargs="*", metavar="NAME")
    given = parser.parse_args()
    missed = []
    for name in given.names or ERRORS:
        found = found_after(ERRORS[name], given.programs, given.seed)
        if found is None:
            missed.append(name)
        print(f"{name}: {'MISSED' if found is None else f'after {found[0]}: {found[1]:.80}'}", flush=True)
    print(f"{len(given.names or ERRORS) - len(missed)} found, missed: {', '.join(missed) or 'none'}")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
