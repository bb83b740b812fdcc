/* Sections of variables with names of their own, and a literal, which the compiler puts into .rodata.str1.1. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

__u32 counter SEC(".data.counters");
const __u32 limit SEC(".rodata.limits") = 3;
char text[16];

SEC("raw_tp")
int copies(void *ctx)
{
	bpf_probe_read_kernel_str(text, sizeof(text), "a literal");
	if (*(const volatile __u32 *)&limit == 3)
		counter++;
	return 0;
}

char _license[] SEC("license") = "GPL";
