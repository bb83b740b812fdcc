/*
 * signal.c: signals: sent, kept until their task next returns to user mode, and then ignored, handled or died of. How a
 * handler is called is in signal_64.c. Of a pending signal there is a bit; why it was sent is kept of the latest.
 */
#include "printk.h"
#include "processor.h"
#include "slab.h"
#include "string.h"
#include "syscalls.h"
#include "trace.h"

#define SIG_BLOCK	0
#define SIG_UNBLOCK	1
#define SIG_SETMASK	2
/* signal_generate's result */
#define TRACE_SIGNAL_DELIVERED	0
#define TRACE_SIGNAL_IGNORED	1
#define sig_kernel_ignore(sig)	(sigmask(sig) & (sigmask(SIGCHLD) | sigmask(SIGCONT) | sigmask(SIGURG) | sigmask(SIGWINCH)))

/* What the task has brought on itself is delivered first, while its registers still show where. */
#define SYNCHRONOUS_MASK (sigmask(SIGSEGV) | sigmask(SIGBUS) | sigmask(SIGILL) | sigmask(SIGTRAP) | sigmask(SIGFPE) | sigmask(SIGSYS))

static bool sig_task_ignored(struct task_struct *p, int sig)
{
	if (p->flags & PF_KTHREAD)
		return true;
	/* Nobody kills init; only its own faults do (force_sig). */
	if (p == init_pid1)
		return true;
	/* A signal that is blocked is kept: its action may be another by the time it is not. */
	if (sig == SIGKILL || (p->blocked & sigmask(sig)))
		return false;
	return (sig_kernel_ignore(sig) && !(p->sig_caught & sigmask(sig))) || (p->sig_ignored & sigmask(sig));
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
	struct kernel_siginfo *kept = info && t == current && (sigmask(sig) & SYNCHRONOUS_MASK) ?
				      &t->pending.forced : &t->pending.sent;

	if (info == SEND_SIG_NOINFO || info == SEND_SIG_PRIV)
		*kept = (struct kernel_siginfo){ .si_signo = sig, .si_code = info == SEND_SIG_PRIV ? SI_KERNEL : SI_USER };
	else
		*kept = *info;
	__sync_fetch_and_or(&t->pending.signal, sigmask(sig));
	if (sig == SIGKILL || !(t->blocked & sigmask(sig)))
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
	struct kernel_siginfo info = {
		.si_signo = sig,
		.si_code = tsk->exit_code & 0x7f ? CLD_KILLED : CLD_EXITED,
		.si_pid = tsk->pid,
		.si_uid = tsk->cred->uid.val,
		.si_status = tsk->exit_code & 0x7f ? tsk->exit_code & 0x7f : tsk->exit_code >> 8,
	};

	do_send_sig_info(sig, &info, tsk->parent, PIDTYPE_TGID);
}

static void set_action(struct task_struct *t, int sig, const struct k_sigaction *ka)
{
	u64 mask = sigmask(sig);

	if (t->sighand)
		t->sighand->action[sig - 1] = *ka;
	t->sig_ignored = ka->sa_handler == SIG_IGN ? t->sig_ignored | mask : t->sig_ignored & ~mask;
	t->sig_caught = ka->sa_handler > SIG_IGN ? t->sig_caught | mask : t->sig_caught & ~mask;
}

/*
 * For what the current task has done itself, say a bad address: it can not be ignored. If it is, or is blocked, or if the
 * task is not to live on (exit), the default action is what happens.
 */
static int force_sig_info_to_task(struct kernel_siginfo *info, bool exit)
{
	u64 mask = sigmask(info->si_signo);

	if (exit || ((current->blocked | current->sig_ignored) & mask)) {
		set_action(current, info->si_signo, &(struct k_sigaction){ SIG_DFL });
		current->blocked &= ~mask;
	}
	return send_signal_locked(info->si_signo, info, current, PIDTYPE_PID);
}

void force_sig(int sig)
{
	force_sig_info_to_task(&(struct kernel_siginfo){ .si_signo = sig, .si_code = SI_KERNEL }, false);
}

void force_sig_fault(int sig, int code, void __user *addr)
{
	force_sig_info_to_task(&(struct kernel_siginfo){ .si_signo = sig, .si_code = code, .si_addr = addr }, false);
}

/* Whether it will kill: only then the log tells of a fault. */
bool unhandled_signal(struct task_struct *tsk, int sig)
{
	return !(tsk->sig_caught & sigmask(sig));
}

/* A handler's frame did not fit the stack. If it was SIGSEGV's, that one dies of it. */
void force_sigsegv(int sig)
{
	force_sig_info_to_task(&(struct kernel_siginfo){ .si_signo = SIGSEGV, .si_code = SI_KERNEL }, sig == SIGSEGV);
}

/* What a filter refused: SIGSYS says which call, from where, and in si_errno what the filter gave as its reason. */
void force_sig_seccomp(const struct seccomp_data *sd, int reason, bool force_coredump)
{
	struct kernel_siginfo info = {
		.si_signo = SIGSYS,
		.si_errno = reason,
		.si_code = SYS_SECCOMP,
		.si_call_addr = (void __user *)sd->instruction_pointer,
		.si_syscall = sd->nr,
		.si_arch = sd->arch,
	};

	force_sig_info_to_task(&info, force_coredump);
}

static void recalc_sigpending(void)
{
	if (current->pending.signal & ~current->blocked)
		set_thread_flag(TIF_SIGPENDING);
	else
		clear_thread_flag(TIF_SIGPENDING);
}

void __set_current_blocked(u64 newset)
{
	current->blocked = newset & ~(sigmask(SIGKILL) | sigmask(SIGSTOP));
	recalc_sigpending();
}

/* The next signal that is not blocked, with what is known of it; 0: none. */
static int dequeue_signal(struct kernel_siginfo *info)
{
	struct sigpending *pending = &current->pending;
	u64 ready = READ_ONCE(pending->signal) & ~(current->blocked & ~sigmask(SIGKILL));
	int sig;

	if (!ready)
		return 0;
	sig = __builtin_ctzll(ready & SYNCHRONOUS_MASK ? ready & SYNCHRONOUS_MASK : ready) + 1;
	__sync_fetch_and_and(&pending->signal, ~sigmask(sig));
	*info = pending->forced.si_signo == sig ? pending->forced : pending->sent.si_signo == sig ? pending->sent :
		(struct kernel_siginfo){ .si_signo = sig, .si_code = SI_USER };
	if (pending->forced.si_signo == sig)
		pending->forced.si_signo = 0;
	return sig;
}

/* On the way to user mode. True: there is a handler to be called. What kills does not return. */
noinline bool get_signal(struct ksignal *ksig)
{
	/* In the middle of a step that a uprobe takes, only what the step itself has caused counts. */
	if (uprobe_deny_signal())
		return false;
	clear_thread_flag(TIF_SIGPENDING);
	while ((ksig->sig = dequeue_signal(&ksig->info))) {
		u64 mask = sigmask(ksig->sig);

		ksig->ka = current->sighand && ksig->sig != SIGKILL ? current->sighand->action[ksig->sig - 1] :
			   (struct k_sigaction){ current->sig_ignored & mask ? SIG_IGN : SIG_DFL };
		trace_signal_deliver(ksig->sig, &ksig->info, &ksig->ka);
		if (ksig->ka.sa_handler == SIG_IGN)
			continue;
		if (ksig->ka.sa_handler != SIG_DFL) {
			if (ksig->ka.sa_flags & SA_RESETHAND)
				set_action(current, ksig->sig, &(struct k_sigaction){ SIG_DFL });
			recalc_sigpending();
			return true;
		}
		if (!sig_kernel_ignore(ksig->sig))
			do_group_exit(ksig->sig);
	}
	return false;
}

/* The handler's frame is made: while it runs, its own signal is blocked and those that it asked for. */
void signal_setup_done(int failed, struct ksignal *ksig)
{
	if (failed) {
		force_sigsegv(ksig->sig);
		return;
	}
	__set_current_blocked(current->blocked | ksig->ka.sa_mask |
			      (ksig->ka.sa_flags & SA_NODEFER ? 0 : sigmask(ksig->sig)));
}

/* A child has the same handlers; most tasks have none at all. */
int copy_sighand(struct task_struct *tsk)
{
	if (!current->sighand)
		return 0;
	tsk->sighand = kmalloc(sizeof(*tsk->sighand), GFP_KERNEL);
	if (!tsk->sighand)
		return -ENOMEM;
	*tsk->sighand = *current->sighand;
	return 0;
}

void exit_sighand(struct task_struct *tsk)
{
	kfree(tsk->sighand);
	tsk->sighand = NULL;
	tsk->sig_caught = 0;
}

/* The handlers are functions of the old program; what was ignored still is. */
void flush_signal_handlers(struct task_struct *t)
{
	exit_sighand(t);
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
	struct kernel_siginfo info = { .si_signo = sig, .si_code = SI_USER, .si_pid = current->tgid, .si_uid = current_uid().val };

	if (sig < 0 || sig > _NSIG)
		return -EINVAL;
	return kill_something_info(sig, &info, pid, PIDTYPE_TGID);
}

static int do_tkill(int sig, pid_t pid)
{
	struct kernel_siginfo info = { .si_signo = sig, .si_code = SI_TKILL, .si_pid = current->tgid, .si_uid = current_uid().val };

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

static int do_sigaction(int sig, const struct k_sigaction *act, struct k_sigaction *oact)
{
	if (sig < 1 || sig > _NSIG || (act && (sig == SIGKILL || sig == SIGSTOP)))
		return -EINVAL;
	*oact = current->sighand ? current->sighand->action[sig - 1] :
		(struct k_sigaction){ current->sig_ignored & sigmask(sig) ? SIG_IGN : SIG_DFL };
	if (!act)
		return 0;
	if (act->sa_handler > SIG_IGN && !current->sighand) {
		current->sighand = kzalloc(sizeof(*current->sighand), GFP_KERNEL);
		if (!current->sighand)
			return -ENOMEM;
		for (int n = 0; n < _NSIG; n++)
			if (current->sig_ignored & sigmask(n + 1))
				current->sighand->action[n].sa_handler = SIG_IGN;
	}
	set_action(current, sig, act);
	/* What is pending and now ignored is forgotten. */
	if (act->sa_handler == SIG_IGN || (act->sa_handler == SIG_DFL && sig_kernel_ignore(sig)))
		__sync_fetch_and_and(&current->pending.signal, ~sigmask(sig));
	return 0;
}

SYSCALL_DEFINE4(rt_sigaction, int, sig, const struct sigaction __user *, act, struct sigaction __user *, oact, size_t, sigsetsize)
{
	struct k_sigaction new_sa, old_sa;
	int ret;

	if (sigsetsize != sizeof(u64))
		return -EINVAL;
	if (act && copy_from_user(&new_sa, (const void __user *)act, sizeof(new_sa)))
		return -EFAULT;
	ret = do_sigaction(sig, act ? &new_sa : NULL, &old_sa);
	if (!ret && oact && copy_to_user((void __user *)oact, &old_sa, sizeof(old_sa)))
		ret = -EFAULT;
	return ret;
}

SYSCALL_DEFINE4(rt_sigprocmask, int, how, u64 __user *, nset, u64 __user *, oset, size_t, sigsetsize)
{
	u64 old = current->blocked, new;

	if (sigsetsize != sizeof(u64))
		return -EINVAL;
	if (nset) {
		if (copy_from_user(&new, nset, sizeof(new)))
			return -EFAULT;
		switch (how) {
		case SIG_BLOCK:
			__set_current_blocked(old | new);
			break;
		case SIG_UNBLOCK:
			__set_current_blocked(old & ~new);
			break;
		case SIG_SETMASK:
			__set_current_blocked(new);
			break;
		default:
			return -EINVAL;
		}
	}
	return oset && copy_to_user(oset, &old, sizeof(old)) ? -EFAULT : 0;
}
