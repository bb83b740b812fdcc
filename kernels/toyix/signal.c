/*
 * signal.c: signals. There are no handlers: a signal is ignored, or it kills when its task next returns to user mode. So a
 * pending signal always means death, and a sleep that it cuts short is never gone on with.
 */
#include "printk.h"
#include "processor.h"
#include "syscalls.h"
#include "trace.h"

#define SIG_DFL		0UL
#define SIG_IGN		1UL
/* signal_generate's result */
#define TRACE_SIGNAL_DELIVERED	0
#define TRACE_SIGNAL_IGNORED	1
#define sig_kernel_ignore(sig)	(sigmask(sig) & (sigmask(SIGCHLD) | sigmask(SIGCONT) | sigmask(SIGURG) | sigmask(SIGWINCH)))

static bool sig_task_ignored(struct task_struct *p, int sig)
{
	if (p->flags & PF_KTHREAD)
		return true;
	/* Nobody kills init; only its own faults do (force_sig). */
	if (p == init_pid1)
		return true;
	if (sig == SIGKILL)
		return false;
	return sig_kernel_ignore(sig) || (p->sig_ignored & sigmask(sig));
}

static void signal_wake_up(struct task_struct *t)
{
	set_ti_thread_flag(&t->thread_info, TIF_SIGPENDING);
	/* Running in user mode on another CPU: an interrupt makes it look. */
	if (!try_to_wake_up(t, TASK_INTERRUPTIBLE, 0) && t->on_cpu && task_cpu(t) != smp_processor_id())
		smp_send_reschedule(task_cpu(t));
}

static noinline int send_signal_locked(int sig, struct kernel_siginfo *info, struct task_struct *t, enum pid_type type)
{
	__sync_fetch_and_or(&t->pending.signal, sigmask(sig));
	signal_wake_up(t);
	trace_signal_generate(sig, info, t, type != PIDTYPE_PID, TRACE_SIGNAL_DELIVERED);
	return 0;
}

int do_send_sig_info(int sig, struct kernel_siginfo *info, struct task_struct *p, enum pid_type type)
{
	if (!sig)
		return 0;
	if (sig_task_ignored(p, sig)) {
		trace_signal_generate(sig, info, p, type != PIDTYPE_PID, TRACE_SIGNAL_IGNORED);
		return 0;
	}
	return send_signal_locked(sig, info, p, type);
}

int send_sig(int sig, struct task_struct *p, int priv)
{
	return do_send_sig_info(sig, priv ? SEND_SIG_PRIV : SEND_SIG_NOINFO, p, PIDTYPE_PID);
}

/* A child has ended, by exit or by a signal: its parent is told. */
void do_notify_parent(struct task_struct *tsk, int sig)
{
	struct kernel_siginfo info = { .si_signo = sig, .si_code = tsk->exit_code & 0x7f ? CLD_KILLED : CLD_EXITED };

	do_send_sig_info(sig, &info, tsk->parent, PIDTYPE_TGID);
}

/* For what the current task has done itself, say a bad address: it can not be ignored. */
void force_sig(int sig)
{
	struct kernel_siginfo info = { .si_signo = sig, .si_code = SI_KERNEL };

	send_signal_locked(sig, &info, current, PIDTYPE_PID);
}

/* What a filter refused: SIGSYS says which call, from where, and in si_errno what the filter gave as its reason. */
void force_sig_seccomp(const struct seccomp_data *sd, int reason)
{
	struct kernel_siginfo info = {
		.si_signo = SIGSYS,
		.si_errno = reason,
		.si_code = SYS_SECCOMP,
		.si_call_addr = (void __user *)sd->instruction_pointer,
		.si_syscall = sd->nr,
		.si_arch = sd->arch,
	};

	current->pending.forced = info;
	send_signal_locked(SIGSYS, &info, current, PIDTYPE_PID);
}

/* On the way to user mode. Returns only if there was nothing to die from. */
void get_signal(struct pt_regs *regs)
{
	u64 pending;
	int signr;

	clear_thread_flag(TIF_SIGPENDING);
	pending = __sync_lock_test_and_set(&current->pending.signal, 0);
	if (!pending)
		return;
	signr = __builtin_ctzll(pending) + 1;
	/* A signal is a bit: but for SIGSYS, why it was sent is forgotten, and what it does is always the default. */
	trace_signal_deliver(signr, signr == SIGSYS && current->pending.forced.si_signo ? &current->pending.forced :
			     SEND_SIG_NOINFO, NULL);
	do_group_exit(signr);
}

static bool kill_ok_by_cred(struct task_struct *t)
{
	const struct cred *cred = current_cred(), *tcred = t->cred;

	return cred->euid.val == tcred->suid.val || cred->euid.val == tcred->uid.val ||
	       cred->uid.val == tcred->suid.val || cred->uid.val == tcred->uid.val || capable(CAP_KILL);
}

static int check_kill_permission(int sig, struct task_struct *t)
{
	return kill_ok_by_cred(t) ? 0 : -EPERM;
}

static int group_send_sig_info(int sig, struct kernel_siginfo *info, struct task_struct *p, enum pid_type type)
{
	int ret = check_kill_permission(sig, p);

	return ret ? ret : do_send_sig_info(sig, info, p, type);
}

static bool kill_target(struct task_struct *p, pid_t pid)
{
	if (pid > 0)
		return p->pid == pid;
	if (pid == -1)
		return p != init_pid1 && p != current && !(p->flags & PF_KTHREAD);
	return p->pgrp == (pid ? -pid : current->pgrp) && !(p->flags & PF_KTHREAD);
}

static noinline int kill_something_info(int sig, struct kernel_siginfo *info, pid_t pid, enum pid_type type)
{
	struct task_struct *p;
	int ret = -ESRCH;

	spin_lock_irq(&tasklist_lock);
	for_each_process(p) {
		int err;

		if (!kill_target(p, pid))
			continue;
		err = group_send_sig_info(sig, info, p, type);
		/* One success makes a success. */
		if (ret)
			ret = err;
	}
	spin_unlock_irq(&tasklist_lock);
	return ret;
}

SYSCALL_DEFINE2(kill, pid_t, pid, int, sig)
{
	struct kernel_siginfo info = { .si_signo = sig, .si_code = SI_USER };

	if (sig < 0 || sig > _NSIG)
		return -EINVAL;
	return kill_something_info(sig, &info, pid, PIDTYPE_TGID);
}

static int do_tkill(int sig, pid_t pid)
{
	struct kernel_siginfo info = { .si_signo = sig, .si_code = SI_TKILL };

	return kill_something_info(sig, &info, pid, PIDTYPE_PID);
}

SYSCALL_DEFINE2(tkill, pid_t, pid, int, sig)
{
	if (pid <= 0 || sig < 0 || sig > _NSIG)
		return -EINVAL;
	return do_tkill(sig, pid);
}

SYSCALL_DEFINE3(tgkill, pid_t, tgid, pid_t, pid, int, sig)
{
	if (tgid <= 0 || pid <= 0 || sig < 0 || sig > _NSIG)
		return -EINVAL;
	return tgid == pid ? do_tkill(sig, pid) : -ESRCH;
}

/* The first word of the user's struct sigaction is the handler; SIG_DFL and SIG_IGN are all there is. */
SYSCALL_DEFINE4(rt_sigaction, int, sig, const struct sigaction __user *, act, struct sigaction __user *, oact, size_t, sigsetsize)
{
	unsigned long handler, old;

	if (sig < 1 || sig > _NSIG)
		return -EINVAL;
	old = current->sig_ignored & sigmask(sig) ? SIG_IGN : SIG_DFL;
	if (act) {
		if (get_user(handler, (const unsigned long __user *)act))
			return -EFAULT;
		if (sig == SIGKILL || sig == SIGSTOP || handler > SIG_IGN)
			return -EINVAL;
		if (handler == SIG_IGN)
			current->sig_ignored |= sigmask(sig);
		else
			current->sig_ignored &= ~sigmask(sig);
	}
	return oact ? put_user(old, (unsigned long __user *)oact) : 0;
}
