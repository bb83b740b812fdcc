/* Sections that name their targets in other ways than kprobe/function. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

__u64 opens, fd, matches, inside;

SEC("ksyscall/openat")
int opening(struct pt_regs *ctx)
{
	opens++;
	return 0;
}

SEC("kretsyscall/openat")
int opened(struct pt_regs *ctx)
{
	fd = PT_REGS_RC(ctx);
	return 0;
}

SEC("kprobe.multi/vfs_rea?")
int many(struct pt_regs *ctx)
{
	matches++;
	return 0;
}

SEC("kprobe/vfs_read+0x1")
int within(struct pt_regs *ctx)
{
	inside++;
	return 0;
}

SEC("kprobe")
int by_hand(struct pt_regs *ctx)
{
	return 0;
}

SEC("?raw_tp/sched_switch")
int elsewhere(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
