"""Prototypes of the helpers that programs on packets, sockets and control groups may call, and who may call which.

The words are those of ``prototypes``. Source: the ``struct bpf_func_proto`` and ``*_func_proto`` of Linux 6.1
net/core/filter.c, net/core/sock_map.c, net/core/bpf_sk_storage.c, kernel/bpf/cgroup.c and drivers/media/rc/bpf-lirc.c.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["ATTACH_ONLY", "NET_ALLOWED", "NET_TABLE", "NO_BASE", "OVERRIDES"]

NET_TABLE = """
    skb_load_bytes              -  int             ctx any mem:out size
    skb_load_bytes_relative     -  int             ctx any mem:out size any
    skb_store_bytes             c  int             ctx any mem:in size any
    skb_pull_data               c  int             ctx any
    skb_change_tail             c  int             ctx any any
    skb_change_head             c  int             ctx any any
    skb_change_proto            c  int             ctx any any
    skb_change_type             -  int             ctx any
    skb_adjust_room             c  int             ctx any any any
    skb_vlan_push               c  int             ctx any any
    skb_vlan_pop                c  int             ctx
    skb_get_tunnel_key          -  int             ctx mem:out size any
    skb_set_tunnel_key          -  int             ctx mem:in size any
    skb_get_tunnel_opt          -  int             ctx mem:out size
    skb_set_tunnel_opt          -  int             ctx mem:in size
    skb_get_xfrm_state          -  int             ctx any mem:out size any
    skb_cgroup_id               -  int             ctx
    skb_ancestor_cgroup_id      -  int             ctx any
    skb_cgroup_classid          -  int             ctx
    skb_ecn_set_ce              -  int             ctx
    skb_set_tstamp              -  int             ctx any any
    skb_under_cgroup            -  int             ctx map any
    l3_csum_replace             c  int             ctx any any any any
    l4_csum_replace             c  int             ctx any any any any
    csum_diff                   p  int             mem:in? size0 mem:in? size0 any
    csum_update                 -  int             ctx any
    csum_level                  -  int             ctx any
    clone_redirect              c  int             ctx any any
    redirect                    -  int             any any
    redirect_neigh              -  int             any mem:in? size0 any
    redirect_peer               -  int             any any
    redirect_map                -  int             map any any
    get_hash_recalc             -  int             ctx
    set_hash_invalid            -  int             ctx
    set_hash                    -  int             ctx any
    get_route_realm             -  int             ctx
    get_cgroup_classid          -  int             ctx
    get_socket_cookie           -  int             ctx
    get_socket_uid              -  int             ctx
    get_netns_cookie            -  int             ctx?
    fib_lookup                  g  int             ctx mem size any
    check_mtu                   g  int             ctx any u32:out any any
    sk_lookup_tcp               p  sock?           ctx mem:in size any any
    sk_lookup_udp               p  sock?           ctx mem:in size any any
    skc_lookup_tcp              p  sock_common?    ctx mem:in size any any
    sk_release                  -  int             btf_sock_common!
    sk_fullsock                 -  sock?           sock_common
    tcp_sock                    -  tcp_sock?       sock_common
    get_listener_sock           -  sock?           sock_common
    sk_assign                   -  int             ctx btf_sock_common any
    sk_cgroup_id                -  int             btf_sock_common
    sk_ancestor_cgroup_id       -  int             btf_sock_common any
    sk_storage_get              -  value?          map btf_sock_common value? any
    sk_storage_delete           -  int             map btf_sock_common
    sk_redirect_map             -  int             ctx map any any
    sk_redirect_hash            -  int             ctx map key any
    sk_select_reuseport         -  int             ctx map key any
    sock_map_update             p  int             ctx map key any
    sock_hash_update            p  int             ctx map key any
    sock_ops_cb_flags_set       -  int             ctx any
    load_hdr_opt                -  int             ctx mem:write size any
    store_hdr_opt               c  int             ctx mem:in size any
    reserve_hdr_opt             -  int             ctx any any
    msg_redirect_map            -  int             ctx map any any
    msg_redirect_hash           -  int             ctx map key any
    msg_apply_bytes             -  int             ctx any
    msg_cork_bytes              -  int             ctx any
    msg_pull_data               c  int             ctx any any any
    msg_push_data               c  int             ctx any any any
    msg_pop_data                c  int             ctx any any any
    tcp_check_syncookie         gp int             btf_sock_common mem:in size mem:in size
    tcp_gen_syncookie           gp int             btf_sock_common mem:in size mem:in size
    tcp_raw_gen_syncookie_ipv4  gp int             fixed:20 mem size
    tcp_raw_gen_syncookie_ipv6  gp int             fixed:40 mem size
    tcp_raw_check_syncookie_ipv4 gp int            fixed:20 fixed:20
    tcp_raw_check_syncookie_ipv6 gp int            fixed:40 fixed:20
    skc_to_tcp6_sock            -  btf:tcp6_sock?  btf_sock_common
    skc_to_tcp_sock             -  btf:tcp_sock?   btf_sock_common
    skc_to_tcp_timewait_sock    -  btf:tcp_timewait_sock?  btf_sock_common
    skc_to_tcp_request_sock     -  btf:tcp_request_sock?   btf_sock_common
    skc_to_udp6_sock            -  btf:udp6_sock?  btf_sock_common
    skc_to_unix_sock            -  btf:unix_sock?  btf_sock_common
    skc_to_mptcp_sock           -  btf:mptcp_sock? sock_common
    bind                        -  int             ctx mem:in size
    setsockopt                  -  int             ctx any any mem:in size
    getsockopt                  -  int             ctx any any mem:out size
    get_local_storage           -  value           map any
    get_retval                  -  int
    set_retval                  -  int             any
    sysctl_get_name             -  int             ctx mem size any
    sysctl_get_current_value    -  int             ctx mem:out size
    sysctl_get_new_value        -  int             ctx mem:out size
    sysctl_set_new_value        -  int             ctx mem:in size
    xdp_adjust_head             c  int             ctx any
    xdp_adjust_tail             c  int             ctx any
    xdp_adjust_meta             c  int             ctx any
    xdp_get_buff_len            -  int             ctx
    xdp_load_bytes              -  int             ctx any mem:out size
    xdp_store_bytes             -  int             ctx any mem:in size
    lwt_push_encap              c  int             ctx any mem:in size
    lwt_seg6_store_bytes        c  int             ctx any mem:in size
    lwt_seg6_adjust_srh         c  int             ctx any any
    lwt_seg6_action             c  int             ctx any mem:in size
    rc_repeat                   g  int             ctx
    rc_keydown                  g  int             ctx any any any
    rc_pointer_rel              g  int             ctx any any
    sys_bpf                     -  int             any mem:in size
    sys_close                   -  int             any
    btf_find_by_name_kind       s  int             mem:in size any any
    kallsyms_lookup_name        -  int             mem size0 any u64:out
"""

_SOCKETS = """
    skc_to_tcp6_sock skc_to_tcp_sock skc_to_tcp_timewait_sock skc_to_tcp_request_sock skc_to_udp6_sock
    skc_to_unix_sock skc_to_mptcp_sock ktime_get_coarse_ns
"""
_LOOKUP = "sk_lookup_tcp sk_lookup_udp skc_lookup_tcp sk_release"
_SYNCOOKIES = """
    tcp_check_syncookie tcp_gen_syncookie tcp_raw_gen_syncookie_ipv4 tcp_raw_gen_syncookie_ipv6
    tcp_raw_check_syncookie_ipv4 tcp_raw_check_syncookie_ipv6
"""
_STORAGE = "sk_storage_get sk_storage_delete"
_CGROUP = "get_local_storage get_retval set_retval"
_CURRENT = """
    get_current_uid_gid get_current_pid_tgid get_current_comm get_current_cgroup_id get_current_ancestor_cgroup_id
    get_cgroup_classid
"""
_LWT_OUT = f"""
    skb_load_bytes skb_pull_data csum_diff get_cgroup_classid get_route_realm get_hash_recalc perf_event_output
    skb_under_cgroup {_SOCKETS}
"""

NET_ALLOWED = {
    "socket_filter": f"""
        skb_load_bytes skb_load_bytes_relative get_socket_cookie get_socket_uid perf_event_output {_SOCKETS}
    """,
    "sched_cls": f"""
        skb_store_bytes skb_load_bytes skb_load_bytes_relative skb_pull_data csum_diff csum_update csum_level
        l3_csum_replace l4_csum_replace clone_redirect get_cgroup_classid skb_vlan_push skb_vlan_pop skb_change_proto
        skb_change_type skb_adjust_room skb_change_tail skb_change_head skb_get_tunnel_key skb_set_tunnel_key
        skb_get_tunnel_opt skb_set_tunnel_opt redirect redirect_neigh redirect_peer get_route_realm get_hash_recalc
        set_hash_invalid set_hash perf_event_output skb_under_cgroup get_socket_cookie get_socket_uid fib_lookup
        check_mtu sk_fullsock skb_get_xfrm_state skb_cgroup_classid skb_cgroup_id skb_ancestor_cgroup_id tcp_sock
        get_listener_sock skb_ecn_set_ce sk_assign skb_set_tstamp {_STORAGE} {_LOOKUP} {_SYNCOOKIES} {_SOCKETS}
    """,
    "xdp": f"""
        perf_event_output csum_diff xdp_adjust_head xdp_adjust_meta redirect redirect_map xdp_adjust_tail
        xdp_get_buff_len xdp_load_bytes xdp_store_bytes fib_lookup check_mtu {_LOOKUP} {_SYNCOOKIES} {_SOCKETS}
    """,
    "cgroup_skb": f"""
        sk_fullsock perf_event_output skb_cgroup_id skb_ancestor_cgroup_id sk_cgroup_id sk_ancestor_cgroup_id tcp_sock
        get_listener_sock skb_ecn_set_ce skb_load_bytes skb_load_bytes_relative get_socket_cookie get_socket_uid
        {_CGROUP} {_STORAGE} {_LOOKUP} {_SOCKETS}
    """,
    "cgroup_sock": f"""
        get_socket_cookie get_netns_cookie perf_event_output sk_storage_get ktime_get_coarse_ns {_CGROUP} {_CURRENT}
    """,
    "cgroup_sock_addr": f"""
        bind get_socket_cookie get_netns_cookie perf_event_output setsockopt getsockopt {_CGROUP} {_CURRENT} {_STORAGE}
        {_LOOKUP} {_SOCKETS}
    """,
    "sock_ops": f"""
        setsockopt getsockopt sock_ops_cb_flags_set sock_map_update sock_hash_update get_socket_cookie
        perf_event_output get_netns_cookie load_hdr_opt store_hdr_opt reserve_hdr_opt tcp_sock {_CGROUP} {_STORAGE}
        {_SOCKETS}
    """,
    "sk_skb": f"""
        skb_store_bytes skb_load_bytes skb_pull_data skb_change_tail skb_change_head skb_adjust_room get_socket_cookie
        get_socket_uid sk_redirect_map sk_redirect_hash perf_event_output {_LOOKUP} {_SOCKETS}
    """,
    "sk_msg": f"""
        msg_redirect_map msg_redirect_hash msg_apply_bytes msg_cork_bytes msg_pull_data msg_push_data msg_pop_data
        perf_event_output get_current_uid_gid get_current_pid_tgid get_netns_cookie get_current_cgroup_id
        get_current_ancestor_cgroup_id get_cgroup_classid {_STORAGE} {_SOCKETS}
    """,
    "flow_dissector": f"skb_load_bytes {_SOCKETS}",
    "lwt_out": _LWT_OUT,
    "lwt_in": f"lwt_push_encap {_LWT_OUT}",
    "lwt_xmit": f"""
        skb_get_tunnel_key skb_set_tunnel_key skb_get_tunnel_opt skb_set_tunnel_opt redirect clone_redirect
        skb_change_tail skb_change_head skb_store_bytes csum_update csum_level l3_csum_replace l4_csum_replace
        set_hash_invalid lwt_push_encap {_LWT_OUT}
    """,
    "lwt_seg6local": f"""
        lwt_seg6_store_bytes lwt_seg6_action lwt_seg6_adjust_srh {_LWT_OUT.replace("skb_pull_data", "")}
    """,
    "sk_reuseport": """
        sk_select_reuseport skb_load_bytes skb_load_bytes_relative get_socket_cookie ktime_get_coarse_ns
    """,
    "sk_lookup": f"perf_event_output sk_assign sk_release {_SOCKETS}",
    "cgroup_device": f"perf_event_output {_CGROUP} {_CURRENT}",
    "cgroup_sysctl": f"""
        sysctl_get_name sysctl_get_current_value sysctl_get_new_value sysctl_set_new_value ktime_get_coarse_ns
        perf_event_output {_CGROUP} {_CURRENT}
    """,
    "cgroup_sockopt": f"""
        get_netns_cookie setsockopt getsockopt tcp_sock perf_event_output {_CGROUP} {_CURRENT} {_STORAGE}
    """,
    "lirc_mode2": """
        rc_repeat rc_keydown rc_pointer_rel map_lookup_elem map_update_elem map_delete_elem map_push_elem map_pop_elem
        map_peek_elem ktime_get_ns ktime_get_boot_ns tail_call get_prandom_u32 trace_printk
    """,
    "syscall": "sys_bpf btf_find_by_name_kind sys_close kallsyms_lookup_name",
}
NET_ALLOWED["sched_act"] = NET_ALLOWED["sched_cls"]

NO_BASE = frozenset({"lirc_mode2"})
"""Program types that do not even get what all others do."""

_SK_OPTIONS = ("btf_sock_common", "any", "any", "mem:in", "size")
OVERRIDES: dict[tuple[str, str], dict[str, Any]] = {
    ("cgroup_sock", "sk_storage_get"): {"args": ("map", "ctx", "value?", "any")},
    ("cgroup_sock", "get_cgroup_classid"): {"args": ()},
    ("cgroup_sock_addr", "get_cgroup_classid"): {"args": ()},
    ("cgroup_sock_addr", "sk_lookup_tcp"): {"pkt_access": False},
    ("cgroup_sock_addr", "sk_lookup_udp"): {"pkt_access": False},
    ("cgroup_sock_addr", "skc_lookup_tcp"): {"pkt_access": False},
    ("cgroup_device", "get_cgroup_classid"): {"args": ()},
    ("cgroup_sysctl", "get_cgroup_classid"): {"args": ()},
    ("cgroup_sockopt", "get_cgroup_classid"): {"args": ()},
    ("cgroup_sockopt", "setsockopt"): {"args": _SK_OPTIONS},
    ("cgroup_sockopt", "getsockopt"): {"args": (*_SK_OPTIONS[:3], "mem:out", "size")},
    ("sk_msg", "get_cgroup_classid"): {"args": ()},
    ("sk_reuseport", "get_socket_cookie"): {"args": ("btf_sock_common",)},
    ("sk_lookup", "sk_assign"): {"args": ("ctx", "socket?", "any")},
}
"""Where a type of programs has a helper of its own by a common name: type, helper -> what differs."""

# Attach type 0 is the first of these.
_QUIET_HOOKS = frozenset(
    {
        "",
        "cgroup_inet_ingress",
        "cgroup_inet_egress",
        "cgroup_sock_ops",
        *(f"cgroup_udp{ip}_recvmsg" for ip in "46"),
        *(f"cgroup_inet{ip}_get{end}name" for ip in "46" for end in ("peer", "sock")),
    }
)
_CONNECT = frozenset({"cgroup_inet4_connect", "cgroup_inet6_connect"})


def _sock_options(prog_type: str, attach_type: str) -> bool:
    return prog_type != "cgroup_sockopt" or attach_type == "cgroup_setsockopt"


ATTACH_ONLY: dict[str, Callable[[str, str], bool]] = {
    "get_retval": lambda prog_type, attach_type: attach_type not in _QUIET_HOOKS,
    "set_retval": lambda prog_type, attach_type: attach_type not in _QUIET_HOOKS,
    "bind": lambda prog_type, attach_type: attach_type in _CONNECT,
    "setsockopt": _sock_options,
    "getsockopt": _sock_options,
}
"""Helpers that depend on where the program will be attached: whether it may call them there."""
