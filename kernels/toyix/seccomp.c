/*
 * seccomp.c: secure computing. A task gives up system calls, for itself and all its children, and cannot take that back:
 * in strict mode all but read, write and exit; in filter mode those that a program refuses. (Linux: kernel/seccomp.c.)
 */
#include "atomic.h"
#include "filter.h"
#include "printk.h"
#include "processor.h"
#include "seccomp.h"
#include "slab.h"
#include "string.h"
#include "syscalls.h"

#define SECCOMP_SET_MODE_STRICT		0
#define SECCOMP_SET_MODE_FILTER		1
#define SECCOMP_GET_ACTION_AVAIL	2

#define SECCOMP_FILTER_FLAG_TSYNC	(1UL << 0)
#define SECCOMP_FILTER_FLAG_LOG		(1UL << 1)
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW	(1UL << 2)
#define SECCOMP_FILTER_FLAG_TSYNC_ESRCH	(1UL << 4)
/* There is nobody who could listen to notifications, so the flags that ask for that are as unknown. */
#define SECCOMP_FILTER_FLAG_MASK	(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG |	\
					 SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_TSYNC_ESRCH)

/* Instructions of all filters of a task together: each call pays for them. */
#define MAX_INSNS_PER_PATH	((1 << 18) / sizeof(struct sock_filter))

struct seccomp_filter {
	refcount_t refs;		/* tasks, and filters on top of this one */
	bool log;			/* SECCOMP_FILTER_FLAG_LOG */
	struct seccomp_filter *prev;
	struct bpf_prog *prog;
};

#define ACTION_ONLY(ret)	((s32)((ret) & SECCOMP_RET_ACTION_FULL))

static void populate_seccomp_data(struct seccomp_data *sd)
{
	struct pt_regs *regs = task_pt_regs(current);

	sd->nr = regs->orig_ax;
	sd->arch = AUDIT_ARCH_X86_64;
	sd->args[0] = regs->di;
	sd->args[1] = regs->si;
	sd->args[2] = regs->dx;
	sd->args[3] = regs->r10;
	sd->args[4] = regs->r8;
	sd->args[5] = regs->r9;
	sd->instruction_pointer = regs->ip;
}

/* All filters are asked, the newest first. The strongest action wins; of equals the one that was said first. */
static noinline u32 seccomp_run_filters(const struct seccomp_data *sd, struct seccomp_filter **match)
{
	struct seccomp_filter *f = current->seccomp.filter;
	u32 ret = SECCOMP_RET_ALLOW;

	if (WARN_ON(!f))
		return SECCOMP_RET_KILL_PROCESS;
	for (; f; f = f->prev) {
		u32 cur_ret = bpf_prog_run(f->prog, sd);

		if (ACTION_ONLY(cur_ret) < ACTION_ONLY(ret)) {
			ret = cur_ret;
			*match = f;
		}
	}
	return ret;
}

/* The audit record that Linux's kernel log shows where no audit daemon takes it. */
static void seccomp_log(const struct seccomp_data *sd, long signr, u32 action, bool requested)
{
	static unsigned int serial;
	u64 now = ktime_get();

	switch (action) {
	case SECCOMP_RET_ALLOW:
		return;
	case SECCOMP_RET_TRAP:
	case SECCOMP_RET_ERRNO:
	case SECCOMP_RET_TRACE:
	case SECCOMP_RET_USER_NOTIF:
		if (!requested)
			return;
	}
	pr_notice("audit: type=1326 audit(%lu.%03lu:%u): auid=4294967295 uid=%u gid=%u ses=4294967295 pid=%d comm=\"%s\" "
		  "sig=%ld arch=%x syscall=%d compat=0 ip=0x%lx code=0x%x\n",
		  (unsigned long)(now / NSEC_PER_SEC), (unsigned long)(now / 1000000 % 1000),
		  __sync_add_and_fetch(&serial, 1), current_uid().val, current_gid().val, current->pid, current->comm,
		  signr, sd->arch, sd->nr, (unsigned long)sd->instruction_pointer, action);
}

static int __secure_computing_strict(const struct seccomp_data *sd)
{
	static const int mode1_syscalls[] = { 0, 1, 60, 15 };	/* read, write, exit, rt_sigreturn */

	for (int i = 0; i < 4; i++)
		if (mode1_syscalls[i] == sd->nr)
			return 0;
	seccomp_report(sd, SECCOMP_RET_KILL_THREAD, SECCOMP_MODE_STRICT);
	current->seccomp.mode = SECCOMP_MODE_DEAD;
	seccomp_log(sd, SIGKILL, SECCOMP_RET_KILL_THREAD, true);
	do_exit(SIGKILL);
}

/* 0: the call is made. -1: it is not, and regs->ax is what the program gets instead, if it lives. */
static noinline int __seccomp_filter(const struct seccomp_data *sd)
{
	struct pt_regs *regs = task_pt_regs(current);
	struct seccomp_filter *match = NULL;
	u32 filter_ret = seccomp_run_filters(sd, &match);
	u32 data = filter_ret & SECCOMP_RET_DATA, action = filter_ret & SECCOMP_RET_ACTION_FULL;

	seccomp_report(sd, filter_ret, SECCOMP_MODE_FILTER);
	switch (action) {
	case SECCOMP_RET_ERRNO:
		/* More would not be an error number to the program. */
		regs->ax = -(long)min(data, (u32)MAX_ERRNO);
		break;
	case SECCOMP_RET_TRAP:
		/* The registers as they were, as if the instruction had trapped. */
		regs->ax = regs->orig_ax;
		force_sig_seccomp(sd, data, false);
		break;
	case SECCOMP_RET_TRACE:
	case SECCOMP_RET_USER_NOTIF:
		/* Nobody traces and nobody listens. */
		regs->ax = -ENOSYS;
		break;
	case SECCOMP_RET_LOG:
		seccomp_log(sd, 0, action, true);
		return 0;
	case SECCOMP_RET_ALLOW:
		return 0;
	default:
		current->seccomp.mode = SECCOMP_MODE_DEAD;
		seccomp_log(sd, SIGSYS, action, true);
		/* A process has one thread: to kill it is to kill the process. */
		regs->ax = regs->orig_ax;
		/* Also where there is a handler. */
		force_sig_seccomp(sd, data, true);
		return -1;
	}
	seccomp_log(sd, 0, action, match && match->log);
	return -1;
}

int __secure_computing(const struct seccomp_data *sd)
{
	struct seccomp_data sd_local;

	if (!sd) {
		populate_seccomp_data(&sd_local);
		sd = &sd_local;
	}
	switch (current->seccomp.mode) {
	case SECCOMP_MODE_STRICT:
		return __secure_computing_strict(sd);
	case SECCOMP_MODE_FILTER:
		return __seccomp_filter(sd);
	/* A system call after the kill: something in the kernel went on that should not have. */
	case SECCOMP_MODE_DEAD:
		WARN_ON_ONCE(1);
		do_exit(SIGKILL);
	default:
		BUG();
	}
}

static bool seccomp_may_assign_mode(int seccomp_mode)
{
	return !current->seccomp.mode || current->seccomp.mode == seccomp_mode;
}

static void seccomp_assign_mode(struct task_struct *task, int seccomp_mode)
{
	task->seccomp.mode = seccomp_mode;
	set_ti_syscall_work(&task->thread_info, SYSCALL_WORK_SECCOMP);
}

static void put_seccomp_filter(struct seccomp_filter *f)
{
	while (f && refcount_dec_and_test(&f->refs)) {
		struct seccomp_filter *prev = f->prev;

		bpf_prog_put(f->prog);
		kfree(f);
		f = prev;
	}
}

void seccomp_filter_release(struct task_struct *tsk)
{
	struct seccomp_filter *orig = tsk->seccomp.filter;

	tsk->seccomp.filter = NULL;
	put_seccomp_filter(orig);
}

/* A child is as confined as its parent; execve changes nothing about it. */
void copy_seccomp(struct task_struct *p)
{
	if (p->seccomp.filter)
		refcount_inc(&p->seccomp.filter->refs);
	if (p->seccomp.mode != SECCOMP_MODE_DISABLED)
		set_ti_syscall_work(&p->thread_info, SYSCALL_WORK_SECCOMP);
}

static struct seccomp_filter *seccomp_prepare_filter(const struct sock_fprog *fprog)
{
	struct seccomp_filter *sfilter;
	int ret;

	if (!fprog->len || fprog->len > BPF_MAXINSNS)
		return ERR_PTR(-EINVAL);
	/* Or else a setuid program could be run with some of its calls made to fail. */
	if (!task_no_new_privs(current) && !capable(CAP_SYS_ADMIN))
		return ERR_PTR(-EACCES);
	sfilter = kzalloc(sizeof(*sfilter), GFP_KERNEL);
	if (!sfilter)
		return ERR_PTR(-ENOMEM);
	ret = bpf_prog_create_from_user(&sfilter->prog, fprog, true);
	if (ret) {
		kfree(sfilter);
		return ERR_PTR(ret);
	}
	refcount_set(&sfilter->refs, 1);
	return sfilter;
}

static struct seccomp_filter *seccomp_prepare_user_filter(const char __user *user_filter)
{
	struct sock_fprog fprog;

	if (copy_from_user(&fprog, user_filter, sizeof(fprog)))
		return ERR_PTR(-EFAULT);
	return seccomp_prepare_filter(&fprog);
}

static long seccomp_attach_filter(unsigned int flags, struct seccomp_filter *filter)
{
	unsigned long total_insns = filter->prog->len;

	/* Each filter counts for four instructions more than it has. */
	for (struct seccomp_filter *walker = current->seccomp.filter; walker; walker = walker->prev)
		total_insns += walker->prog->len + 4;
	if (total_insns > MAX_INSNS_PER_PATH)
		return -ENOMEM;
	filter->log = flags & SECCOMP_FILTER_FLAG_LOG;
	/* The reference that the task had to the filter before is now the new one's. */
	filter->prev = current->seccomp.filter;
	current->seccomp.filter = filter;
	current->seccomp.filter_count++;
	return 0;
}

static noinline long seccomp_set_mode_strict(void)
{
	if (!seccomp_may_assign_mode(SECCOMP_MODE_STRICT))
		return -EINVAL;
	seccomp_assign_mode(current, SECCOMP_MODE_STRICT);
	return 0;
}

/* SECCOMP_FILTER_FLAG_TSYNC confines all threads alike, and here a process has one. */
static noinline long seccomp_set_mode_filter(unsigned int flags, const char __user *filter)
{
	struct seccomp_filter *prepared;
	long ret = -EINVAL;

	if (flags & ~SECCOMP_FILTER_FLAG_MASK)
		return -EINVAL;
	prepared = seccomp_prepare_user_filter(filter);
	if (IS_ERR(prepared))
		return PTR_ERR(prepared);
	if (seccomp_may_assign_mode(SECCOMP_MODE_FILTER))
		ret = seccomp_attach_filter(flags, prepared);
	if (ret) {
		put_seccomp_filter(prepared);
		return ret;
	}
	seccomp_assign_mode(current, SECCOMP_MODE_FILTER);
	return 0;
}

static long seccomp_get_action_avail(const char __user *uaction)
{
	u32 action;

	if (copy_from_user(&action, uaction, sizeof(action)))
		return -EFAULT;
	switch (action) {
	case SECCOMP_RET_KILL_PROCESS:
	case SECCOMP_RET_KILL_THREAD:
	case SECCOMP_RET_TRAP:
	case SECCOMP_RET_ERRNO:
	case SECCOMP_RET_TRACE:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_ALLOW:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static long do_seccomp(unsigned int op, unsigned int flags, void __user *uargs)
{
	switch (op) {
	case SECCOMP_SET_MODE_STRICT:
		if (flags || uargs)
			return -EINVAL;
		return seccomp_set_mode_strict();
	case SECCOMP_SET_MODE_FILTER:
		return seccomp_set_mode_filter(flags, uargs);
	case SECCOMP_GET_ACTION_AVAIL:
		return flags ? -EINVAL : seccomp_get_action_avail(uargs);
	default:
		return -EINVAL;
	}
}

SYSCALL_DEFINE3(seccomp, unsigned int, op, unsigned int, flags, void __user *, uargs)
{
	return do_seccomp(op, flags, uargs);
}

long prctl_get_seccomp(void)
{
	return current->seccomp.mode;
}

long prctl_set_seccomp(unsigned long seccomp_mode, void __user *filter)
{
	switch (seccomp_mode) {
	/* Here the third argument means nothing, and a program may leave anything in it. */
	case SECCOMP_MODE_STRICT:
		return do_seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL);
	case SECCOMP_MODE_FILTER:
		return do_seccomp(SECCOMP_SET_MODE_FILTER, 0, filter);
	default:
		return -EINVAL;
	}
}
