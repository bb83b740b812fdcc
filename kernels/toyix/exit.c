/* exit.c: the end of a task, in two halves: it gives everything back and becomes a zombie; its parent takes note of it. */
#include "hypercalls.h"
#include "mm.h"
#include "printk.h"
#include "syscalls.h"
#include "trace.h"
#include "wait.h"

#define WNOHANG		1

static void exit_mm(void)
{
	struct mm_struct *mm = current->mm;

	mm_release(current);
	if (!mm)
		return;
	/* This CPU stays on its page tables, as a kernel thread would, until the next switch. */
	mmgrab(mm);
	current->mm = NULL;
	mmput(mm);
}

/* Orphans become children of init. The caller holds tasklist_lock. */
static void forget_original_parent(struct task_struct *father)
{
	struct task_struct *p, *n;
	bool zombies = false;

	list_for_each_entry_safe(p, n, &father->children, sibling) {
		p->real_parent = p->parent = init_pid1;
		list_move_tail(&p->sibling, &init_pid1->children);
		zombies |= p->exit_state == EXIT_ZOMBIE;
	}
	if (zombies)
		wake_up_interruptible(&init_pid1->wait_chldexit);
}

static noinline void exit_notify(struct task_struct *tsk)
{
	struct task_struct *parent;

	spin_lock_irq(&tasklist_lock);
	forget_original_parent(tsk);
	tsk->exit_state = EXIT_ZOMBIE;
	parent = tsk->parent;
	if (tsk->exit_signal)
		do_notify_parent(tsk, tsk->exit_signal);
	wake_up_interruptible(&parent->wait_chldexit);
	spin_unlock_irq(&tasklist_lock);
}

/* The zombie's last reference from the process tree. The caller holds tasklist_lock and has taken it off EXIT_ZOMBIE. */
static void release_task(struct task_struct *p)
{
	list_del_init(&p->sibling);
	list_del(&p->tasks);
	this_cpu_write(process_counts, this_cpu_read(process_counts) - 1);
	put_task_struct(p);
}

/* Never returns: the stack this runs on is freed by the task that comes next (finish_task_switch). */
static void __noreturn do_task_dead(void)
{
	__set_current_state(TASK_DEAD);
	schedule();
	BUG();
}

void do_exit(long code)
{
	struct task_struct *tsk = current;

	/* After an oops: whatever lock was held stays held, but this CPU must be able to switch. */
	if (preempt_count()) {
		pr_info("note: %s[%d] exited with preempt_count %d\n", tsk->comm, tsk->pid, preempt_count());
		this_cpu_write(__preempt_count, 0);
	}
	local_irq_enable();
	if (tsk->flags & PF_EXITING) {
		pr_alert("Fixing recursive fault but reboot is needed!\n");
		do_task_dead();
	}
	tsk->flags |= PF_EXITING;
	if (tsk == init_pid1) {
		if (!(code & 0x7f))
			kernel_power_off(code >> 8);
		panic("Attempted to kill init! exitcode=0x%08x", (unsigned int)code);
	}
	tsk->exit_code = code;
	trace_sched_process_exit(tsk);
	exit_mm();
	exit_files(tsk);
	exit_fs(tsk);
	seccomp_filter_release(tsk);
	exit_sighand(tsk);
	hc_mark(HC_MARK_TASK_EXIT, tsk, 0);
	exit_notify(tsk);
	do_task_dead();
}

/* One thread to a group, so there is no one else to tell. */
void do_group_exit(int exit_code)
{
	do_exit(exit_code);
}

static bool eligible_child(struct task_struct *p, pid_t upid)
{
	if (upid == -1)
		return true;
	if (upid > 0)
		return p->pid == upid;
	return p->pgrp == (upid ? -upid : current->pgrp);
}

/* A child that has ended: its pid, and *status; 0: there are children but none has; -ECHILD: there is none to wait for. */
static noinline long wait_task_zombie(pid_t upid, int *status)
{
	struct task_struct *p;
	long ret = -ECHILD;

	spin_lock_irq(&tasklist_lock);
	list_for_each_entry(p, &current->children, sibling) {
		if (!eligible_child(p, upid))
			continue;
		ret = 0;
		if (p->exit_state != EXIT_ZOMBIE)
			continue;
		p->exit_state = EXIT_DEAD;
		*status = p->exit_code;
		ret = p->pid;
		release_task(p);
		break;
	}
	spin_unlock_irq(&tasklist_lock);
	return ret;
}

static noinline long do_wait(pid_t upid, int *status, int options)
{
	DEFINE_WAIT(wait);
	long ret;

	trace_sched_process_wait(upid);
	for (;;) {
		prepare_to_wait(&current->wait_chldexit, &wait, TASK_INTERRUPTIBLE);
		ret = wait_task_zombie(upid, status);
		if (ret || (options & WNOHANG))
			break;
		ret = -ERESTARTSYS;
		if (signal_pending(current))
			break;
		schedule();
	}
	finish_wait(&current->wait_chldexit, &wait);
	return ret;
}

long kernel_wait4(pid_t upid, int __user *stat_addr, int options, void __user *ru)
{
	int status = 0;
	long ret = do_wait(upid, &status, options);

	if (ret > 0 && stat_addr && put_user(status, stat_addr))
		return -EFAULT;
	return ret;
}

SYSCALL_DEFINE4(wait4, pid_t, upid, int __user *, stat_addr, int, options, struct rusage __user *, ru)
{
	return kernel_wait4(upid, stat_addr, options, ru);
}

SYSCALL_DEFINE1(exit, int, error_code)
{
	do_exit((error_code & 0xff) << 8);
}

SYSCALL_DEFINE1(exit_group, int, error_code)
{
	do_group_exit((error_code & 0xff) << 8);
}
