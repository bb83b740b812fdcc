"""CO-RE, "compile once, run everywhere": instructions adjusted to the types of the kernel they are loaded into.

An access that this kernel cannot satisfy is not an error yet: the instruction is replaced by a call of a helper that
does not exist, number 195896080, which the verifier refuses if it can be reached at all. Follows Linux
tools/lib/bpf/relo_core.c: bpf_core_calc_relo_insn and bpf_core_patch_insn.
"""

from collections.abc import MutableSequence
from dataclasses import dataclass

from kprobesim.bpf.isa import Class, Insn, Mode, Size, is_lddw, lddw, lddw_value
from kprobesim.bpf.object.btf_ext import CoreRelo
from kprobesim.bpf.object.core_spec import CoreKind, Spec, match_spec, parse_spec
from kprobesim.bpf.object.core_types import COMPOSITE, ENUMS, Budget, TypeComparison, essential_name, same_kind
from kprobesim.bpf.object.errors import ObjectError
from kprobesim.image import Btf, BtfKind

__all__ = ["POISON", "CoreRelocator"]

POISON = Insn(0x85, imm=195896080)
"""The call that stands where an access could not be resolved (0xbad2310, "bad relo")."""

_MASK32 = (1 << 32) - 1
_BUDGET = 5_000_000
_SIZES = {8: Size.DW, 4: Size.W, 2: Size.H, 1: Size.B}
_EXISTENCE = (CoreKind.TYPE_EXISTS, CoreKind.FIELD_EXISTS, CoreKind.ENUMVAL_EXISTS, CoreKind.TYPE_MATCHES)


@dataclass(frozen=True, slots=True)
class _Value:
    """What an access comes to in one set of types.

    Attributes:
        number: the answer.
        validate: whether the compiler must have put the same answer, for its own types, into the instruction.
        size: of the field in bytes, where an offset is asked and it is no bit field; else 0.
        type_id: the field's type, likewise.
    """

    number: int
    validate: bool = True
    size: int = 0
    type_id: int = 0


class CoreRelocator:
    """Relocates the instructions of one object.

    Args:
        local: the object's types.
        target: the kernel's.
        file: of the object, for messages.
    """

    def __init__(self, local: Btf, target: Btf, file: str) -> None:
        self._local = local
        self._target = target
        self._file = file
        self._compare = TypeComparison(local, target, Budget(_BUDGET))
        self._candidates: dict[int, list[int]] = {}
        self._by_name: dict[str, list[int]] = {}
        for entry in target:
            if entry.name:
                self._by_name.setdefault(essential_name(entry.name), []).append(entry.id)

    def apply(self, insns: MutableSequence[Insn], relo: CoreRelo) -> str:
        """Adjust one instruction in place.

        Args:
            insns: of the section.
            relo: what it needs; its slot is one of ``insns``.

        Returns:
            What the kernel lacks, if the instruction had to be poisoned; else nothing.

        Raises:
            ObjectError: the relocation makes no sense, or the kernel has several different answers.
        """
        try:
            kind = CoreKind(relo.kind)
        except ValueError:
            raise self._fail(relo, f"there is no relocation of kind {relo.kind}") from None
        local = parse_spec(self._local, relo, kind, self._compare.budget)
        if kind is CoreKind.TYPE_ID_LOCAL:
            self._patch(insns, relo, local, _Value(relo.type_id, validate=False), _Value(relo.type_id))
            return ""
        if not self._local.type(relo.type_id).name:
            raise self._fail(relo, "an anonymous type cannot be looked up in the kernel")
        found = self._decide(local, relo)
        if found is None:
            self._poison(insns, relo)
            return local.text()
        before = _calculate(local, local) or _Value(1 if kind in _EXISTENCE else 0)
        if found.size and found.size != before.size and not self._resizable(before, found):
            insn = insns[relo.slot]
            if insn.cls in (Class.LDX, Class.ST, Class.STX):
                self._poison(insns, relo)
                return f"{local.text()}, which has another size and is signed"
        self._patch(insns, relo, local, before, found)
        return ""

    def _fail(self, relo: CoreRelo, problem: str) -> ObjectError:
        return ObjectError(f"{self._file}: CO-RE relocation of insn #{relo.slot}: {problem}.")

    def _find_candidates(self, type_id: int) -> list[int]:
        """Types of the kernel with the same name, flavours aside, and the same kind."""
        if type_id not in self._candidates:
            entry = self._local.type(type_id)
            self._candidates[type_id] = [
                other
                for other in self._by_name.get(essential_name(entry.name), ())
                if same_kind(self._target.type(other).kind, entry.kind)
            ]
        return self._candidates[type_id]

    def _decide(self, local: Spec, relo: CoreRelo) -> _Value | None:
        """The answer that all candidates agree on; None where the question has none."""
        matches = [
            spec
            for candidate in self._find_candidates(relo.type_id)
            if (spec := match_spec(local, candidate, self._compare)) is not None
        ]
        if not matches:
            return _Value(0) if local.kind in _EXISTENCE else None
        answers = [_calculate(local, spec) for spec in matches]
        for spec, answer in zip(matches, answers, strict=True):
            different = local.kind.of_field and spec.bit_offset != matches[0].bit_offset
            if different or (answer and answer.number) != (answers[0] and answers[0].number):
                raise self._fail(relo, f"the kernel has several types that {local.text()} could mean, and they differ")
        # Where only some candidates match, libbpf goes on with those that do.
        self._candidates[relo.type_id] = [spec.root for spec in matches]
        return answers[0]

    def _resizable(self, before: _Value, after: _Value) -> bool:
        """Whether an access may change its size with the field: pointers, and unsigned numbers."""
        ours, theirs = self._local.strip(before.type_id), self._target.strip(after.type_id)
        if ours.kind is BtfKind.PTR and theirs.kind is BtfKind.PTR:
            return True
        return ours.kind is BtfKind.INT and theirs.kind is BtfKind.INT and not (ours.is_signed or theirs.is_signed)

    def _poison(self, insns: MutableSequence[Insn], relo: CoreRelo) -> None:
        count = 2 if is_lddw(insns[relo.slot]) and relo.slot + 1 < len(insns) else 1
        insns[relo.slot : relo.slot + count] = [POISON] * count

    def _patch(self, insns: MutableSequence[Insn], relo: CoreRelo, local: Spec, before: _Value, after: _Value) -> None:
        insn = insns[relo.slot]
        cls = insn.cls
        if cls in (Class.ALU, Class.ALU64):
            if insn.by_reg:
                raise self._fail(relo, "the instruction has no immediate")
            self._expect(relo, before, insn.imm & _MASK32, before.number & _MASK32)
            insns[relo.slot] = insn._replace(imm=_signed32(after.number))
        elif cls in (Class.LDX, Class.ST, Class.STX) and insn.mode in (Mode.MEM, Mode.ATOMIC):
            self._expect(relo, before, insn.off, before.number)
            if not 0 <= after.number < 1 << 15:
                raise self._fail(relo, f"offset {after.number} does not fit an instruction")
            insns[relo.slot] = self._resized(relo, insn, before, after)._replace(off=after.number)
        elif is_lddw(insn) and insn.src == 0 and relo.slot + 1 < len(insns):
            self._expect(relo, before, lddw_value(insns, relo.slot), before.number & (1 << 64) - 1)
            insns[relo.slot : relo.slot + 2] = lddw(insn.dst, after.number & (1 << 64) - 1)
        else:
            raise self._fail(relo, f"an instruction {insn.code:02x} cannot be adjusted")

    def _expect(self, relo: CoreRelo, before: _Value, there: int, wanted: int) -> None:
        if before.validate and there != wanted:
            raise self._fail(relo, f"the instruction has {there}, but the program's own types say {wanted}")

    def _resized(self, relo: CoreRelo, insn: Insn, before: _Value, after: _Value) -> Insn:
        if not after.size or after.size == before.size:
            return insn
        if after.size not in _SIZES:
            raise self._fail(relo, f"no instruction accesses a field of {after.size} bytes")
        return insn._replace(code=insn.code & ~Size.DW | _SIZES[after.size])


def _signed32(value: int) -> int:
    value &= _MASK32
    return value - (value >> 31 << 32)


def _calculate(local: Spec, spec: Spec) -> _Value | None:
    """The answer in the types of ``spec``; None if there can be none."""
    kind, btf = local.kind, spec.btf
    if kind in _EXISTENCE:
        return _Value(1)
    if kind.of_field:
        return _field_value(spec)
    if kind is CoreKind.TYPE_ID_TARGET:
        # The compiler puts a number of its own there, which need not be one of its types'.
        return _Value(spec.root, validate=False)
    if kind is CoreKind.TYPE_SIZE:
        return _Value(btf.size_of(spec.root))
    if kind is CoreKind.ENUMVAL_VALUE:
        step = spec.named[0]
        entry = btf.type(step.type_id)
        value = entry.enumerators[step.index].value
        # Not every compiler says that an enum is signed; 32-bit values are taken for signed in any case.
        return _Value(_signed32(value) if entry.kind is BtfKind.ENUM else value)
    return None


def _field_value(spec: Spec) -> _Value | None:
    btf, last, kind = spec.btf, spec.raw[-1], spec.kind
    if not last.name:
        # An element of an array, or what a pointer points to.
        size = btf.size_of(last.type_id)
        if kind is CoreKind.FIELD_BYTE_OFFSET:
            return _Value(spec.bit_offset // 8, size=size, type_id=last.type_id)
        return _Value(size) if kind is CoreKind.FIELD_BYTE_SIZE else None
    member = btf.type(last.type_id).members[last.index]
    entry = btf.strip(member.type_id)
    bits = member.bit_size
    if bits:
        size = max(1, entry.size)
        offset = spec.bit_offset // 8 // size * size
        # The least aligned word that holds the whole bit field.
        while spec.bit_offset + bits - offset * 8 > size * 8 and size < 8:
            size *= 2
            offset = spec.bit_offset // 8 // size * size
    else:
        size = btf.size_of(member.type_id)
        offset, bits = spec.bit_offset // 8, size * 8
    whole = not member.bit_size
    if kind is CoreKind.FIELD_BYTE_OFFSET:
        return _Value(offset, whole, size if whole else 0, member.type_id if whole else 0)
    if kind is CoreKind.FIELD_BYTE_SIZE:
        return _Value(size, whole)
    if kind is CoreKind.FIELD_SIGNED:
        return _Value(int(entry.kind in (BtfKind.INT, *ENUMS) and entry.is_signed), validate=False)
    if entry.kind in COMPOSITE or bits > 64:
        return None
    if kind is CoreKind.FIELD_LSHIFT_U64:
        return _Value((64 - (spec.bit_offset + bits - offset * 8)) % (1 << 64), whole)
    return _Value(64 - bits)
