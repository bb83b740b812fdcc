#include <vmlinux.h> /* as ok_count.c: structs as key and value, a constant, a loop */
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
struct key { __u32 pid, pad; char comm[16]; };
struct val { __u64 n, bytes; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 64); __type(key, struct key); __type(value, struct val); } stats SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 16); __type(key, __u32); __type(value, __u64); } buckets SEC(".maps");
SEC("kprobe/vfs_read") int rich(struct pt_regs *ctx)
{
	struct key k = {}; struct val *v, nv = {}; __u64 cnt = PT_REGS_PARM3(ctx); __u32 b = 0; __u64 *c;
	k.pid = bpf_get_current_pid_tgid() >> 32; bpf_get_current_comm(k.comm, sizeof(k.comm));
	v = bpf_map_lookup_elem(&stats, &k);
	if (!v) { nv.n = 1; nv.bytes = cnt; bpf_map_update_elem(&stats, &k, &nv, BPF_ANY); }
	else { v->n++; v->bytes += cnt; }
	for (int i = 0; i < 15; i++) { if (cnt >> (i + 1)) b = i + 1; }
	b &= 15; c = bpf_map_lookup_elem(&buckets, &b); if (c) (*c)++;
	bpf_printk("read %d bytes", (int)cnt);
	return 0;
}
char _license[] SEC("license") = "GPL";
