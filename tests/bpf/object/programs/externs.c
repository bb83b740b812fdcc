/* What the kernel is asked for: addresses of its symbols, its version, its functions. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

extern const void vfs_read __ksym;
extern const void not_in_this_kernel __ksym __weak;
extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_NOT_KNOWN __kconfig __weak;

__u64 address, version;

SEC("kprobe/vfs_read")
int asks(struct pt_regs *ctx)
{
	address = (__u64)&vfs_read;
	if (&not_in_this_kernel || CONFIG_NOT_KNOWN)
		address = 1;
	version = LINUX_KERNEL_VERSION;
	return 0;
}

char _license[] SEC("license") = "GPL";
