/* exec.c: replacing a task's program, as far as it does not depend on the file's format (that is binfmt_elf.c). */
#include "binfmts.h"
#include "fdtable.h"
#include "hypercalls.h"
#include "mm.h"
#include "namei.h"
#include "printk.h"
#include "string.h"
#include "syscalls.h"
#include "trace.h"

#define MAX_ARG_STRINGS	256

/* argv or envp, of a user program or of the kernel itself (which starts /init). */
struct user_arg_ptr {
	bool is_kernel;
	const char *const *ptr;
};

/* The nr-th string's address; NULL at the end, ERR_PTR(-EFAULT) where the array can not be read. */
static const char *get_user_arg_ptr(struct user_arg_ptr argv, int nr)
{
	const char *native;

	if (argv.is_kernel)
		return argv.ptr[nr];
	if (get_user(native, argv.ptr + nr))
		return ERR_PTR(-EFAULT);
	return native;
}

/* Appends all strings to bprm->strings. Returns how many, or -errno. */
static int copy_strings(struct linux_binprm *bprm, struct user_arg_ptr argv)
{
	int nr;

	if (!argv.ptr)
		return 0;
	for (nr = 0; ; nr++) {
		const char *str = get_user_arg_ptr(argv, nr);
		char *to = bprm->strings + bprm->strings_len;
		long room = MAX_ARG_SIZE - bprm->strings_len, len;

		if (!str)
			return nr;
		if (IS_ERR(str))
			return PTR_ERR(str);
		if (nr == MAX_ARG_STRINGS)
			return -E2BIG;
		len = argv.is_kernel ? strscpy(to, str, room) : strncpy_from_user(to, str, room);
		if (len < 0)
			return len;
		if (len >= room)
			return -E2BIG;
		bprm->strings_len += len + 1;
	}
}

void set_task_comm(struct task_struct *tsk, const char *buf)
{
	trace_task_rename(tsk, buf);
	strscpy(tsk->comm, buf, sizeof(tsk->comm));
}

/* The task moves into the new address space. */
static int exec_mmap(struct mm_struct *mm)
{
	struct task_struct *tsk = current;
	struct mm_struct *old_mm = tsk->mm, *active_mm;

	mm_release(tsk);
	/* What a kernel thread borrows changes with every switch. */
	local_irq_disable();
	active_mm = tsk->active_mm;
	tsk->active_mm = tsk->mm = mm;
	load_cr3(mm->pgd);
	local_irq_enable();
	if (old_mm)
		mmput(old_mm);
	else
		mmdrop(active_mm);
	return 0;
}

/* The point of no return. */
int begin_new_exec(struct linux_binprm *bprm)
{
	const char *slash = strrchr(bprm->filename, '/');

	exec_mmap(bprm->mm);
	bprm->mm = NULL;
	current->flags &= ~PF_KTHREAD;
	do_close_on_exec(current->files);
	flush_signal_handlers(current);
	set_task_comm(current, slash ? slash + 1 : bprm->filename);
	return 0;
}

/* The stack area; it grows on faults. */
int setup_arg_pages(struct linux_binprm *bprm)
{
	unsigned long size = PAGE_ALIGN(MAX_ARG_SIZE + PAGE_SIZE);

	if (!mmap_region(current->mm, NULL, STACK_TOP - size, size, VM_READ | VM_WRITE | VM_GROWSDOWN, 0))
		return -ENOMEM;
	current->mm->start_stack = STACK_TOP;
	return 0;
}

static noinline struct file *do_open_execat(int fd, struct filename *name)
{
	struct open_flags open_exec_flags = {
		.open_flag = O_RDONLY | __FMODE_EXEC,
		.acc_mode = MAY_EXEC,
		.lookup_flags = LOOKUP_FOLLOW,
	};
	struct file *file = do_filp_open(fd, name, &open_exec_flags);

	if (!IS_ERR(file) && !S_ISREG(file_inode(file)->i_mode)) {
		fput(file);
		return ERR_PTR(-EACCES);
	}
	return file;
}

static noinline int exec_binprm(struct linux_binprm *bprm)
{
	loff_t pos = 0;
	ssize_t n = kernel_read(bprm->file, bprm->buf, sizeof(bprm->buf), &pos);

	if (n < 0)
		return n;
	n = load_elf_binary(bprm);
	if (!n) {
		trace_sched_process_exec(current, current->pid, bprm);
		hc_mark(HC_MARK_TASK_EXEC, current, 0);
	}
	return n;
}

static noinline int bprm_execve(struct linux_binprm *bprm, int fd, struct filename *filename)
{
	int retval;

	bprm->file = do_open_execat(fd, filename);
	if (IS_ERR(bprm->file))
		return PTR_ERR(bprm->file);
	bprm->mm = mm_alloc();
	retval = bprm->mm ? exec_binprm(bprm) : -ENOMEM;
	fput(bprm->file);
	if (bprm->mm)
		mmput(bprm->mm);
	else if (retval)
		/* The old program is gone and the new one is incomplete. */
		force_sig(SIGSEGV);
	return retval;
}

/* Takes over filename. */
static noinline int do_execveat_common(int fd, struct filename *filename, struct user_arg_ptr argv, struct user_arg_ptr envp)
{
	struct linux_binprm *bprm;
	int retval = -ENOMEM;

	if (IS_ERR(filename))
		return PTR_ERR(filename);
	bprm = kzalloc(sizeof(*bprm), GFP_KERNEL);
	if (!bprm)
		goto out_name;
	bprm->strings = kmalloc(MAX_ARG_SIZE, GFP_KERNEL);
	if (!bprm->strings)
		goto out;
	bprm->filename = filename->name;
	retval = bprm->argc = copy_strings(bprm, argv);
	if (retval < 0)
		goto out;
	retval = bprm->envc = copy_strings(bprm, envp);
	if (retval < 0)
		goto out;
	retval = bprm_execve(bprm, fd, filename);
out:
	kfree(bprm->strings);
	kfree(bprm);
out_name:
	putname(filename);
	return retval;
}

int kernel_execve(const char *filename, const char *const *argv, const char *const *envp)
{
	return do_execveat_common(AT_FDCWD, getname_kernel(filename), (struct user_arg_ptr){ true, argv },
				  (struct user_arg_ptr){ true, envp });
}

SYSCALL_DEFINE3(execve, const char __user *, filename, const char __user *const __user *, argv,
		const char __user *const __user *, envp)
{
	return do_execveat_common(AT_FDCWD, getname(filename), (struct user_arg_ptr){ false, argv },
				  (struct user_arg_ptr){ false, envp });
}

SYSCALL_DEFINE5(execveat, int, fd, const char __user *, filename, const char __user *const __user *, argv,
		const char __user *const __user *, envp, int, flags)
{
	return do_execveat_common(fd, getname(filename), (struct user_arg_ptr){ false, argv },
				  (struct user_arg_ptr){ false, envp });
}
