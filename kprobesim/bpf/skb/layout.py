"""Where things are in struct sk_buff and its companions: Linux 6.1 as Debian configures it for x86-64.

Converted filters read these fields themselves, so the offsets are part of the machine code.
"""

__all__ = [
    "DEV_IFINDEX",
    "DEV_SIZE",
    "DEV_TYPE",
    "FRAG_SIZE",
    "PKT_TYPE_MAX",
    "SHINFO_FRAGS",
    "SHINFO_NR_FRAGS",
    "SHINFO_SIZE",
    "SKB_CB",
    "SKB_DATA",
    "SKB_DATA_LEN",
    "SKB_DEV",
    "SKB_END",
    "SKB_HASH",
    "SKB_HEAD",
    "SKB_IIF",
    "SKB_LEN",
    "SKB_MAC_HEADER",
    "SKB_MARK",
    "SKB_NAPI_ID",
    "SKB_NETWORK_HEADER",
    "SKB_PKT_TYPE",
    "SKB_PRIORITY",
    "SKB_PROTOCOL",
    "SKB_QUEUE_MAPPING",
    "SKB_SIZE",
    "SKB_TAIL",
    "SKB_TC_INDEX",
    "SKB_VLAN_PRESENT",
    "SKB_VLAN_PROTO",
    "SKB_VLAN_TCI",
]

SKB_DEV = 16
SKB_CB = 40
SKB_LEN = 112
SKB_DATA_LEN = 116
SKB_QUEUE_MAPPING = 124
SKB_PKT_TYPE = 128
"""Three bits, the lowest."""
SKB_VLAN_PRESENT = 130
"""One bit, the lowest."""
SKB_TC_INDEX = 134
SKB_PRIORITY = 140
SKB_IIF = 144
SKB_HASH = 148
SKB_VLAN_PROTO = 152
SKB_VLAN_TCI = 154
SKB_NAPI_ID = 156
SKB_MARK = 168
SKB_PROTOCOL = 180
SKB_NETWORK_HEADER = 184
SKB_MAC_HEADER = 186
SKB_TAIL = 188
SKB_END = 192
SKB_HEAD = 200
SKB_DATA = 208
SKB_SIZE = 232

PKT_TYPE_MAX = 7

DEV_IFINDEX = 216
DEV_TYPE = 296
DEV_SIZE = 320
"""As much of struct net_device as a filter can reach."""

SHINFO_NR_FRAGS = 2
SHINFO_FRAGS = 48
"""An array of struct bio_vec: page (8 bytes), length, offset (4 each)."""
FRAG_SIZE = 16
SHINFO_SIZE = SHINFO_FRAGS + 17 * FRAG_SIZE
