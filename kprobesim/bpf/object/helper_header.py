"""``bpf_helper_defs.h``: the helpers as C sees them, each a pointer whose value is the helper's number.

The numbers and names are those that the rest of the simulator uses; the C types are this file's.
"""

from collections.abc import Collection

from kprobesim.bpf.helper_names import HELPER_IDS
from kprobesim.bpf.maps import MAP_TYPES

__all__ = ["SIGNATURES", "helper_header"]

_TEXT = """
void *map_lookup_elem(void *map, const void *key)
long map_update_elem(void *map, const void *key, const void *value, __u64 flags)
long map_delete_elem(void *map, const void *key)
long map_push_elem(void *map, const void *value, __u64 flags)
long map_pop_elem(void *map, void *value)
long map_peek_elem(void *map, void *value)
void *map_lookup_percpu_elem(void *map, const void *key, __u32 cpu)
long for_each_map_elem(void *map, void *callback_fn, void *callback_ctx, __u64 flags)
long loop(__u32 nr_loops, void *callback_fn, void *callback_ctx, __u64 flags)
long probe_read(void *dst, __u32 size, const void *unsafe_ptr)
long probe_read_str(void *dst, __u32 size, const void *unsafe_ptr)
long probe_read_kernel(void *dst, __u32 size, const void *unsafe_ptr)
long probe_read_kernel_str(void *dst, __u32 size, const void *unsafe_ptr)
long probe_read_user(void *dst, __u32 size, const void *unsafe_ptr)
long probe_read_user_str(void *dst, __u32 size, const void *unsafe_ptr)
long probe_write_user(void *dst, const void *src, __u32 len)
long copy_from_user(void *dst, __u32 size, const void *user_ptr)
__u64 ktime_get_ns(void)
__u64 ktime_get_boot_ns(void)
__u64 ktime_get_coarse_ns(void)
__u64 ktime_get_tai_ns(void)
__u64 jiffies64(void)
long trace_printk(const char *fmt, __u32 fmt_size, ...)
long trace_vprintk(const char *fmt, __u32 fmt_size, const void *data, __u32 data_len)
long snprintf(char *str, __u32 str_size, const char *fmt, __u64 *data, __u32 data_len)
long snprintf_btf(char *str, __u32 str_size, struct btf_ptr *ptr, __u32 btf_ptr_size, __u64 flags)
long strtol(const char *buf, unsigned long buf_len, __u64 flags, long *res)
long strtoul(const char *buf, unsigned long buf_len, __u64 flags, unsigned long *res)
long strncmp(const char *s1, __u32 s1_sz, const char *s2)
__u32 get_prandom_u32(void)
__u32 get_smp_processor_id(void)
long get_numa_node_id(void)
long tail_call(void *ctx, void *prog_array_map, __u32 index)
__u64 get_current_pid_tgid(void)
__u64 get_current_uid_gid(void)
long get_current_comm(void *buf, __u32 size_of_buf)
__u64 get_current_task(void)
struct task_struct *get_current_task_btf(void)
long task_pt_regs(struct task_struct *task)
__u64 get_current_cgroup_id(void)
__u64 get_current_ancestor_cgroup_id(int ancestor_level)
long current_task_under_cgroup(void *map, __u32 index)
long get_ns_current_pid_tgid(__u64 dev, __u64 ino, struct bpf_pidns_info *nsdata, __u32 size)
long perf_event_output(void *ctx, void *map, __u64 flags, void *data, __u64 size)
__u64 perf_event_read(void *map, __u64 flags)
long perf_event_read_value(void *map, __u64 flags, struct bpf_perf_event_value *buf, __u32 buf_size)
long perf_prog_read_value(void *ctx, struct bpf_perf_event_value *buf, __u32 buf_size)
long read_branch_records(void *ctx, void *buf, __u32 size, __u64 flags)
long skb_output(void *ctx, void *map, __u64 flags, void *data, __u64 size)
long d_path(struct path *path, char *buf, __u32 sz)
long get_stackid(void *ctx, void *map, __u64 flags)
long get_stack(void *ctx, void *buf, __u32 size, __u64 flags)
long get_task_stack(struct task_struct *task, void *buf, __u32 size, __u64 flags)
long ringbuf_output(void *ringbuf, void *data, __u64 size, __u64 flags)
void *ringbuf_reserve(void *ringbuf, __u64 size, __u64 flags)
void ringbuf_submit(void *data, __u64 flags)
void ringbuf_discard(void *data, __u64 flags)
__u64 ringbuf_query(void *ringbuf, __u64 flags)
long override_return(struct pt_regs *regs, __u64 rc)
long send_signal(__u32 sig)
long send_signal_thread(__u32 sig)
__u64 get_func_ip(void *ctx)
__u64 get_attach_cookie(void *ctx)
void *per_cpu_ptr(const void *percpu_ptr, __u32 cpu)
void *this_cpu_ptr(const void *percpu_ptr)
long get_func_arg(void *ctx, __u32 n, __u64 *value)
long get_func_ret(void *ctx, __u64 *value)
long get_func_arg_cnt(void *ctx)
"""
SIGNATURES: dict[str, str] = {
    line.split("(")[0].replace("*", " ").split()[-1]: line for line in _TEXT.strip().splitlines()
}
"""Helper's name without ``bpf_`` -> its declaration in C."""

_FLAGS = """
enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_EXIST = 2, BPF_F_LOCK = 4 };
enum {
\tBPF_F_NO_PREALLOC = 1U << 0,
\tBPF_F_NO_COMMON_LRU = 1U << 1,
\tBPF_F_NUMA_NODE = 1U << 2,
\tBPF_F_RDONLY = 1U << 3,
\tBPF_F_WRONLY = 1U << 4,
\tBPF_F_RDONLY_PROG = 1U << 7,
\tBPF_F_WRONLY_PROG = 1U << 8,
\tBPF_F_MMAPABLE = 1U << 10,
\tBPF_F_INNER_MAP = 1U << 12,
};
enum { BPF_F_SKIP_FIELD_MASK = 0xffULL, BPF_F_USER_STACK = 1ULL << 8, BPF_F_FAST_STACK_CMP = 1ULL << 9 };
enum { BPF_F_REUSE_STACKID = 1ULL << 10, BPF_F_USER_BUILD_ID = 1ULL << 11 };
enum { BPF_F_INDEX_MASK = 0xffffffffULL, BPF_F_CURRENT_CPU = BPF_F_INDEX_MASK };
enum { BPF_RB_NO_WAKEUP = 1ULL << 0, BPF_RB_FORCE_WAKEUP = 1ULL << 1 };
enum { BTF_F_COMPACT = 1ULL << 0, BTF_F_NONAME = 1ULL << 1, BTF_F_PTR_RAW = 1ULL << 2, BTF_F_ZERO = 1ULL << 3 };
struct bpf_perf_event_value {
\t__u64 counter;
\t__u64 enabled;
\t__u64 running;
};
struct btf_ptr {
\tvoid *ptr;
\t__u32 type_id;
\t__u32 flags;
};
"""


def helper_header(in_vmlinux: Collection[str] = ()) -> str:
    """The header's text. What Linux has in <linux/bpf.h> is in it too, unless that was included before.

    Args:
        in_vmlinux: the enumerators that the kernel's vmlinux.h defines: only the others follow if that was included.
    """
    names = [(f"BPF_MAP_TYPE_{name.upper()}", number) for number, name in enumerate(MAP_TYPES)]
    types = "".join(f"\t{name} = {number},\n" for name, number in names)
    others = "".join(f"\t{name} = {number},\n" for name, number in names if name not in in_vmlinux)
    others = f"#ifdef __VMLINUX_H__\nenum {{\n{others}}};\n#else\n" if others else "#ifndef __VMLINUX_H__\n"
    helpers = "\n".join(
        _pointer(SIGNATURES[name], name, number) for name, number in HELPER_IDS.items() if name in SIGNATURES
    )
    integers = (
        "typedef unsigned char __u8;\ntypedef unsigned short __u16;\ntypedef unsigned int __u32;\n"
        "typedef unsigned long long __u64;\ntypedef signed char __s8;\ntypedef short __s16;\ntypedef int __s32;\n"
        "typedef long long __s64;\n"
    )
    return (
        "/* Made from the simulator's own list of helpers. */\n#ifndef __BPF_HELPER_DEFS_H__\n"
        "#define __BPF_HELPER_DEFS_H__\n\n#ifndef __LINUX_BPF_H__\n"
        f"{integers}{others}enum bpf_map_type {{\n{types}}};\n#endif\n{_FLAGS}#endif\n\n"
        "struct pt_regs;\nstruct task_struct;\nstruct bpf_pidns_info;\nstruct bpf_perf_event_value;\n"
        "struct btf_ptr;\nstruct path;\n\n"
        f"{helpers}\n\n#endif\n"
    )


def _pointer(signature: str, name: str, number: int) -> str:
    result, _, parameters = signature.partition(f"{name}(")
    return f"static {result}(*bpf_{name})({parameters} = (void *){number};"
