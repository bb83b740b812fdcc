/* signal.h: signals. Only default actions and SIG_IGN: a signal kills or does nothing. */
#ifndef _SIGNAL_H
#define _SIGNAL_H

#include "compiler.h"
#include "thread_info.h"

#define SIGHUP		1
#define SIGINT		2
#define SIGQUIT		3
#define SIGILL		4
#define SIGTRAP		5
#define SIGABRT		6
#define SIGBUS		7
#define SIGFPE		8
#define SIGKILL		9
#define SIGUSR1		10
#define SIGSEGV		11
#define SIGUSR2		12
#define SIGPIPE		13
#define SIGALRM		14
#define SIGTERM		15
#define SIGCHLD		17
#define SIGCONT		18
#define SIGSTOP		19
#define SIGURG		23
#define SIGWINCH	28
#define SIGSYS		31
#define _NSIG		64

#define sigmask(sig)	(1ULL << ((sig) - 1))

/* Why a signal was sent. Nobody can receive it; it is what the tracepoints tell. */
struct kernel_siginfo {
	int si_signo;			/*  0 */
	int si_errno;			/*  4 */
	int si_code;			/*  8 */
	void __user *si_call_addr;	/* 16: SIGSYS: behind the syscall instruction */
	int si_syscall;			/* 24: its number */
	unsigned int si_arch;		/* 28: AUDIT_ARCH_ */
};

struct sigpending {
	u64 signal;			/* bit n-1: signal n */
	struct kernel_siginfo forced;	/* why a filter has sent SIGSYS */
};
#define SI_USER		0
#define SI_TKILL	(-6)
#define SI_KERNEL	0x80
#define SYS_SECCOMP	1
#define CLD_EXITED	1
#define CLD_KILLED	2
#define SEND_SIG_NOINFO	((struct kernel_siginfo *)0)	/* a user's, like kill(2) */
#define SEND_SIG_PRIV	((struct kernel_siginfo *)1)	/* the kernel's own */

/* Whom a signal is for: one task or its whole group, which here is the same task. */
enum pid_type { PIDTYPE_PID, PIDTYPE_TGID };

struct seccomp_data;
int do_send_sig_info(int sig, struct kernel_siginfo *info, struct task_struct *p, enum pid_type type);
int send_sig(int sig, struct task_struct *p, int priv);
void do_notify_parent(struct task_struct *tsk, int sig);
void force_sig(int sig);
void force_sig_seccomp(const struct seccomp_data *sd, int reason);
void get_signal(struct pt_regs *regs);

#define signal_pending(p)	test_ti_thread_flag((struct thread_info *)(p), TIF_SIGPENDING)
#define fatal_signal_pending(p)	signal_pending(p)

#endif
