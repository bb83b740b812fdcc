/* Programs on events, raw tracepoints and a user's program; a callback; a system call made to fail. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

__u64 sum, calls, mains;

static int add(__u32 index, void *ctx)
{
	*(__u64 *)ctx += index;
	return 0;
}

SEC("tp/syscalls/sys_enter_openat")
int on_open(void *ctx)
{
	__u64 found = 0;

	bpf_loop(5, add, &found, 0);
	sum += found;
	return 0;
}

SEC("raw_tp/sys_enter")
int on_call(__u64 *args)
{
	if (args[1] == 257)
		calls++;
	return 0;
}

SEC("uprobe/cat:main")
int on_main(struct pt_regs *ctx)
{
	mains++;
	return 0;
}

SEC("ksyscall/openat")
int fail(struct pt_regs *ctx)
{
	bpf_override_return(ctx, -13);
	return 0;
}

char _license[] SEC("license") = "GPL";
