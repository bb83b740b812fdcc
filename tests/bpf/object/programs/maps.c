/* All the ways to declare a map: maps in maps, programs in a map, pinning, sizes without types; a callback. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} inner_one SEC(".maps"), inner_two SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { [0] = &inner_one, [2] = &inner_two },
};

int leaf(struct pt_regs *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct pt_regs *));
} jumps SEC(".maps") = {
	.values = { [1] = &leaf },
};

struct event {
	__u32 pid;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct event);
	__type(value, __u64);
} a_name_longer_than_15 SEC(".maps");

SEC("kprobe/vfs_read")
int leaf(struct pt_regs *ctx)
{
	return 0;
}

static long each(void *map, __u32 *key, __u64 *value, __u64 *sum)
{
	*sum += *value;
	return 0;
}

SEC("?kprobe/vfs_read")
int root(struct pt_regs *ctx)
{
	struct event key = {};
	__u64 sum = 0;
	__u32 zero = 0;
	void *found = bpf_map_lookup_elem(&outer, &zero);

	if (found)
		bpf_map_lookup_elem(found, &zero);
	bpf_map_lookup_elem(&a_name_longer_than_15, &key);
	bpf_for_each_map_elem(&inner_one, each, &sum, 0);
	bpf_tail_call(ctx, &jumps, 1);
	return sum;
}

char _license[] SEC("license") = "GPL";
