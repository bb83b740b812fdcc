// Programs of type tracing: typed arguments, followed by plain C.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

__u64 asked, got, reader, device, switched;

SEC("fentry/vfs_read")
int BPF_PROG(on_entry, struct file *file, char *buf, size_t count)
{
	asked += count;
	device = file->f_inode->i_ino;
	return 0;
}

SEC("fexit/vfs_read")
int BPF_PROG(on_exit, struct file *file, char *buf, size_t count, loff_t *pos, ssize_t ret)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (ret > 0)
		got += ret;
	reader = task->pid;
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	switched = next->pid;
	return 0;
}
