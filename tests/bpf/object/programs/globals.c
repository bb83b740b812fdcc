/* Global variables in .data, .bss, .rodata and .rodata.str; functions called, static and global; a return probe. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

const volatile __u32 wanted = 7;
__u64 start = 40;
__u64 calls;
static __u64 bytes[4];

static __noinline int bucket(__u64 size)
{
	return size < 16 ? 0 : size < 256 ? 1 : size < 4096 ? 2 : 3;
}

__noinline int add(__u64 size, __u64 scale)
{
	int b = bucket(size * scale);

	bytes[b & 3] += size;
	return b;
}

SEC("kprobe/vfs_read")
int BPF_KPROBE(on_read, struct file *file, char *buf, size_t count)
{
	calls += add(count, 1) + wanted;
	return 0;
}

SEC("kretprobe/vfs_read")
int BPF_KRETPROBE(on_return, long ret)
{
	start += bucket(ret);
	bpf_printk("read %d", (int)ret);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
