/* signal.h: signals: a task is killed, has a handler called, or takes no notice. None stops or continues it. */
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

/* Why a signal was sent: as user space knows it, but for what lies behind. */
struct kernel_siginfo {
	int si_signo;			/*  0 */
	int si_errno;			/*  4 */
	int si_code;			/*  8 */
	union {
		struct {		/* a user, or a child that has ended */
			pid_t si_pid;	/* 16 */
			uid_t si_uid;	/* 20 */
			int si_status;	/* 24 */
		};
		void __user *si_addr;	/* 16: a fault: where */
		struct {		/* SIGSYS */
			void __user *si_call_addr;	/* 16: behind the syscall instruction */
			int si_syscall;		/* 24: its number */
			unsigned int si_arch;	/* 28: AUDIT_ARCH_ */
		};
	};
};
#define SI_MAX_SIZE	128

struct sigpending {
	u64 signal;			/* bit n-1: signal n */
	struct kernel_siginfo forced;	/* of the latest signal that the task has brought on itself */
	struct kernel_siginfo sent;	/* of the latest that came from others */
};

/* As rt_sigaction(2) takes it. */
struct k_sigaction {
	unsigned long sa_handler;	/*  0: SIG_DFL, SIG_IGN, or a function */
	unsigned long sa_flags;		/*  8 */
	unsigned long sa_restorer;	/* 16: where the handler returns to */
	u64 sa_mask;			/* 24: blocked while it runs */
};
#define SIG_DFL		0UL
#define SIG_IGN		1UL
#define SA_SIGINFO	0x00000004UL
#define SA_RESTORER	0x04000000UL
#define SA_RESTART	0x10000000UL
#define SA_NODEFER	0x40000000UL
#define SA_RESETHAND	0x80000000UL

struct sighand_struct {
	struct k_sigaction action[_NSIG];
};

/* A signal on its way to its handler. */
struct ksignal {
	struct k_sigaction ka;
	struct kernel_siginfo info;
	int sig;
};

#define SI_USER		0
#define SI_TKILL	(-6)
#define SI_KERNEL	0x80
#define SYS_SECCOMP	1
#define SEGV_MAPERR	1
#define SEGV_ACCERR	2
#define FPE_INTDIV	1
#define ILL_ILLOPN	2
#define BUS_ADRALN	1
#define BUS_ADRERR	2
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
void force_sig_fault(int sig, int code, void __user *addr);
void force_sig_seccomp(const struct seccomp_data *sd, int reason, bool force_coredump);
void force_sigsegv(int sig);
bool unhandled_signal(struct task_struct *tsk, int sig);
bool get_signal(struct ksignal *ksig);
void signal_setup_done(int failed, struct ksignal *ksig);
void __set_current_blocked(u64 newset);
int copy_sighand(struct task_struct *tsk);
void exit_sighand(struct task_struct *tsk);
void flush_signal_handlers(struct task_struct *t);
/* signal_64.c */
void arch_do_signal_or_restart(struct pt_regs *regs);

#define signal_pending(p)	test_ti_thread_flag((struct thread_info *)(p), TIF_SIGPENDING)
#define fatal_signal_pending(p)	signal_pending(p)

#endif
