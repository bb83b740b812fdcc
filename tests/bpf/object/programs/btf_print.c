/* The file that is read, printed by its type. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";
char text[256];
long length;

SEC("kprobe/vfs_read")
int BPF_KPROBE(shows, struct file *file)
{
	struct btf_ptr what = { .ptr = file, .type_id = bpf_core_type_id_kernel(struct file) };

	length = bpf_snprintf_btf(text, sizeof(text), &what, sizeof(what), BTF_F_COMPACT);
	return 0;
}
