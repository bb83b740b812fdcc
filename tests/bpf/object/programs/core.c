/* CO-RE: this file's own idea of kernel structs, which is wrong about where things are. */
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define CORE __attribute__((preserve_access_index))

struct qstr {
	unsigned int len;
	const unsigned char *name;
} CORE;

struct dentry {
	long not_there_1;
	struct qstr d_name;
} CORE;

struct path {
	struct dentry *dentry;
} CORE;

struct file___mine {
	char padding[100];
	struct path f_path;
} CORE;

struct file___new {
	int member_of_the_future;
} CORE;

struct task_struct {
	int pid;
	char comm[16];
	int tgid;
} CORE;

struct no_such_struct {
	int x;
} CORE;

__u32 exists, sizes, pid, missing_size;
unsigned char name[32];

SEC("kprobe/vfs_read")
int relocated(unsigned long *regs)
{
	struct file___mine *file = (void *)regs[14];
	struct task_struct *task = (void *)bpf_get_current_task();
	struct file___new *newer = (void *)file;

	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(file, f_path.dentry, d_name.name));
	pid = BPF_CORE_READ(task, tgid);
	exists = bpf_core_field_exists(task->comm) | bpf_core_type_exists(struct no_such_struct) << 1 |
		 bpf_core_field_exists(newer->member_of_the_future) << 2;
	sizes = bpf_core_field_size(task->comm) | bpf_core_type_size(struct task_struct) << 8;
	if (bpf_core_field_exists(newer->member_of_the_future))
		missing_size = BPF_CORE_READ(newer, member_of_the_future);
	return 0;
}

SEC("?kprobe/vfs_write")
int unresolved(unsigned long *regs)
{
	struct file___new *newer = (void *)regs[14];

	return BPF_CORE_READ(newer, member_of_the_future);
}

char _license[] SEC("license") = "GPL";
