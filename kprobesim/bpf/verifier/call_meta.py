"""What the check of a helper's arguments finds out for the rest of the call (``struct bpf_call_arg_meta``)."""

from dataclasses import dataclass

from kprobesim.bpf.verifier.map_meta import Kptr, MapMeta

__all__ = ["CallMeta"]


@dataclass(slots=True)
class CallMeta:
    """One call's findings.

    Attributes:
        func_id: the helper.
        pkt_access: whether it may be given pointers into a packet.
        map, map_uid: the map among its arguments.
        raw_mode: whether the memory being looked at is only written.
        regno, access_size: the memory that it writes.
        release_regno: argument whose reference it releases.
        mem_size: bytes of memory that it gives.
        msize_max: largest size that it was given.
        ref_obj_id: reference among its arguments.
        subprogno: function that it calls back.
        uninit_dynptr_regno: argument that becomes a dynptr.
        ret_btf: kernel struct that it returns a pointer to.
        kptr: the pointer in a map's value that it exchanges.
    """

    func_id: int
    pkt_access: bool = False
    map: MapMeta | None = None
    map_uid: int = 0
    raw_mode: bool = False
    regno: int = 0
    access_size: int = 0
    release_regno: int = 0
    mem_size: int = 0
    msize_max: int = 0
    ref_obj_id: int = 0
    subprogno: int = 0
    uninit_dynptr_regno: int = 0
    ret_btf: str = ""
    kptr: Kptr | None = None
