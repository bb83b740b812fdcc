"""The requests of ``kprobesim bpf batch`` about classic filters; see ``cbpf_check`` and ``cbpf_run``."""

from typing import Any

from kprobesim.bpf.classic.bench import LARGEST_PACKET, Engine, FilterBench
from kprobesim.bpf.classic.isa import Ancillary, decode_filter
from kprobesim.bpf.classic.program import Filter, FilterMode
from kprobesim.bpf.environment import BenchEnvironment
from kprobesim.bpf.errors import LoadError
from kprobesim.bpf.skb import ETH_HLEN, ETH_P_IP, Device, Skb, eth_type

__all__ = ["cbpf_check", "cbpf_run"]

_FACTS = {
    "protocol": ("protocol", "proto"),
    "pkt_type": ("pkt_type", "pkttype", "type"),
    "ifindex": ("ifindex", "ifidx", "dev_ifindex"),
    "dev_type": ("dev_type", "hatype"),
    "mark": ("mark",),
    "queue_mapping": ("queue_mapping", "queue_map", "queue"),
    "hash": ("hash", "rxhash"),
    "vlan_tci": ("vlan_tci", "vlan_tag"),
    "vlan_present": ("vlan_present", "vlan_tag_present", "vlan_avail", "vlan_pr"),
    "vlan_proto": ("vlan_proto", "vlan_tpid"),
    "network_offset": ("network_offset", "network_header", "net_off", "net_offset", "nhoff"),
    "mac_offset": ("mac_offset", "mac_header", "mac_off", "ll_off", "ll_offset"),
    "cpu": ("cpu",),
    "random": ("random", "rand"),
}
"""What a request's ``env`` may say: the kernel's names, and those of bpf_asm and of SKF_AD_*."""

_BY_WORD = {word: fact for fact, words in _FACTS.items() for word in words}
_BY_FACT = {
    Ancillary.PROTOCOL: "protocol",
    Ancillary.PKTTYPE: "pkt_type",
    Ancillary.IFINDEX: "ifindex",
    Ancillary.MARK: "mark",
    Ancillary.QUEUE: "queue_mapping",
    Ancillary.HATYPE: "dev_type",
    Ancillary.RXHASH: "hash",
    Ancillary.CPU: "cpu",
    Ancillary.VLAN_TAG: "vlan_tci",
    Ancillary.VLAN_TAG_PRESENT: "vlan_present",
    Ancillary.RANDOM: "random",
    Ancillary.VLAN_TPID: "vlan_proto",
}
_BY_NUMBER = {str(int(fact)): name for fact, name in _BY_FACT.items()}


class _Environment(BenchEnvironment):
    """A bench whose random numbers may all be the same one."""

    def __init__(self, cpu: int, random: int | None) -> None:
        super().__init__()
        self.cpu = cpu
        self.random = random

    def prandom_u32(self) -> int:
        """See Environment."""
        return super().prandom_u32() if self.random is None else self.random & 0xFFFFFFFF


def cbpf_check(request: dict[str, Any]) -> dict[str, Any]:
    """Whether the kernel takes a filter: ``errno`` is 0, or 22 for EINVAL with the reason in ``error``.

    ``mode`` is socket or seccomp, ``insns`` the filter in hex. Raises ValueError, KeyError: a request that is none.
    """
    mode = FilterMode(request.get("mode", "socket"))
    insns = decode_filter(bytes.fromhex(request["insns"]))
    try:
        Filter(insns, mode)
    except LoadError as refused:
        return {"errno": int(refused.errno), "error": str(refused)}
    return {"errno": 0}


def cbpf_run(request: dict[str, Any]) -> dict[str, Any]:
    """What a socket's filter returns for a packet: ``ret``, unsigned 32 bits.

    ``data`` is the linear part in hex and ``frag`` what follows in a page; ``env`` says what is known about the packet,
    each fact a number: protocol, pkt_type, ifindex, dev_type, mark, queue_mapping, hash, vlan_tci, vlan_present,
    vlan_proto, network_offset, mac_offset, cpu, random, or the number of an SKF_AD_* load. ``dev`` may hold ifindex and
    type; null means that there is no device.
    Where it says nothing, the packet has come in over Ethernet; what it says in other words comes back in ``ignored``.
    ``engine`` is classic, ebpf or jit. Raises LoadError for a filter that Linux would not take, ValueError, KeyError.
    """
    program = Filter(decode_filter(bytes.fromhex(request["insns"])))
    known, ignored = _facts(request.get("env") or {})
    env = _Environment(known.pop("cpu", 0) or 0, known.pop("random", None))
    data, frag = bytes.fromhex(request.get("data") or ""), bytes.fromhex(request.get("frag") or "")
    if len(data) + len(frag) > LARGEST_PACKET:
        raise ValueError(f"a packet has at most {LARGEST_PACKET:,} bytes")
    skb = _skb(data, frag, known)
    ret = FilterBench(program, env, Engine(request.get("engine", "classic"))).run(skb)
    return {"ret": ret, "ignored": ignored} if ignored else {"ret": ret}


def _facts(env: dict[str, Any]) -> tuple[dict[str, int | None], list[str]]:
    if not isinstance(env, dict):
        raise ValueError("env must be an object of facts about the packet")
    found: dict[str, int | None] = {}
    ignored = []
    device = env.get("dev", {})
    if device is None:
        found["ifindex"] = None
    elif isinstance(device, dict):
        env = {**env, **{f"dev_{word}": value for word, value in device.items()}}
    for word, value in env.items():
        if word == "dev":
            continue
        key = word.lower().removeprefix("skf_ad_").removeprefix("skb_")
        name = _BY_WORD.get(key) or _BY_NUMBER.get(key)
        if name is None:
            ignored.append(word)
        else:
            found[name] = _number(word, value)
    return found, ignored


def _number(word: str, value: object) -> int | None:
    if value is None or isinstance(value, (bool, int)):
        return None if value is None else int(value)
    if isinstance(value, str):
        return int(value, 0)
    raise ValueError(f"env: {word} is no number")


def _skb(data: bytes, frag: bytes, known: dict[str, int | None]) -> Skb:
    ifindex, dev_type = known.pop("ifindex", 1), known.pop("dev_type", 1)
    given = {name: value for name, value in known.items() if value is not None}
    fields: dict[str, Any] = {
        "protocol": eth_type(data + frag) or ETH_P_IP,
        "network_offset": min(len(data), ETH_HLEN),
        **given,
    }
    fields["vlan_present"] = bool(fields.get("vlan_present", False))
    dev = None if ifindex is None or dev_type is None else Device(ifindex, dev_type)
    return Skb(data, frag, dev=dev, **fields)
