/*
 * sigtests: asks the kernel how it calls signal handlers, and prints each question that it gets wrong. Prints "sigtests: ok"
 * when there is none.
 */
#include "check.h"
#include "filter.h"

#define BAD_POINTER	((void *)0x1000)
#define SYS_getpid	39

static volatile int calls, last, again;
static siginfo_t info;
static ucontext_t context;

/* How a child ends in which body is done: its exit status, or 1000 and the signal. */
#define CHILD(body) ({								\
	int status = 0;								\
	pid_t child = fork();							\
	if (!child) {								\
		body;								\
		_exit(wrong);							\
	}									\
	while (wait4(child, &status, 0, NULL) < 0)				\
		;								\
	WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);	\
})

static void note(int signal, siginfo_t *why, void *uc)
{
	calls++;
	last = signal;
	info = *why;
	context = *(ucontext_t *)uc;
	if (again) {
		again = 0;
		kill(getpid(), signal);
		IS(calls, 1);
	}
}

/* Goes on behind the instruction of two bytes that trapped. */
static void skip_two(int signal, siginfo_t *why, void *uc)
{
	note(signal, why, uc);
	((ucontext_t *)uc)->uc_mcontext.ip += 2;
}

/* Gives the load another address. */
static void mend(int signal, siginfo_t *why, void *uc)
{
	static int good = 42;

	note(signal, why, uc);
	((ucontext_t *)uc)->uc_mcontext.ax = (uint64_t)&good;
}

static void answer(int signal, siginfo_t *why, void *uc)
{
	note(signal, why, uc);
	((ucontext_t *)uc)->uc_mcontext.ax = 1234;
}

static void test_actions(void)
{
	unsigned long act[4] = { 0 }, old[4];

	FAILS(rt_sigaction(0, act, NULL, 8), EINVAL);
	FAILS(rt_sigaction(65, act, NULL, 8), EINVAL);
	FAILS(rt_sigaction(SIGKILL, act, NULL, 8), EINVAL);
	FAILS(rt_sigaction(SIGUSR1, act, NULL, 4), EINVAL);
	FAILS(rt_sigaction(SIGUSR1, BAD_POINTER, NULL, 8), EFAULT);
	IS(rt_sigaction(SIGKILL, NULL, old, 8), 0);
	IS(handle(SIGUSR1, note, SA_RESTART), 0);
	IS(rt_sigaction(SIGUSR1, NULL, old, 8), 0);
	IS(old[0], note);
	IS(old[1], SA_SIGINFO | SA_RESTORER | SA_RESTART);
	IS(handle(SIGUSR1, NULL, 0), 0);
	IS(CHILD(kill(getpid(), SIGUSR1)), 1000 + SIGUSR1);
}

static void test_calls(void)
{
	uint64_t mask, all = ~0ULL, old;
	unsigned long before, after;

	handle(SIGUSR1, note, 0);
	__asm__ volatile("movq %%rsp, %0" : "=r"(before));
	/* The handler sends it once more, and that one waits until it has returned. */
	again = 1;
	IS(kill(getpid(), SIGUSR1), 0);
	__asm__ volatile("movq %%rsp, %0" : "=r"(after));
	IS(before, after);
	IS(calls, 2);
	IS(info.si_signo, SIGUSR1);
	IS(info.si_code, 0);
	IS(info.si_pid, getpid());
	IS(context.uc_flags, 6);
	calls = 0;
	mask = 1ULL << (SIGUSR2 - 1);
	handle(SIGUSR2, note, SA_RESETHAND);
	IS(rt_sigprocmask(SIG_BLOCK, &mask, &old, 8), 0);
	IS(old, 0);
	IS(kill(getpid(), SIGUSR2), 0);
	IS(calls, 0);
	IS(rt_sigprocmask(SIG_UNBLOCK, &mask, NULL, 8), 0);
	IS(calls, 1);
	IS(last, SIGUSR2);
	/* SA_RESETHAND: the next one kills. */
	IS(CHILD(kill(getpid(), SIGUSR2)), 1000 + SIGUSR2);
	FAILS(rt_sigprocmask(9, &mask, NULL, 8), EINVAL);
	FAILS(rt_sigprocmask(0, &mask, NULL, 4), EINVAL);
	FAILS(rt_sigprocmask(0, BAD_POINTER, NULL, 8), EFAULT);
	/* SIGKILL is never blocked. */
	IS(CHILD({ rt_sigprocmask(SIG_SETMASK, &all, NULL, 8); kill(getpid(), SIGKILL); }), 1000 + SIGKILL);
	/* A child has the handlers, another program has not. */
	IS(CHILD({ calls = 0; kill(getpid(), SIGUSR1); IS(calls >= 1, 1); }), 0);
	handle(SIGUSR1, NULL, 0);
}

static void test_faults(void)
{
	int value;
	long quotient;

	handle(SIGSEGV, mend, 0);
	__asm__ volatile("movq $0x1000, %%rax; movl (%%rax), %0" : "=r"(value) : : "rax");
	IS(value, 42);
	IS(info.si_code, 1);			/* SEGV_MAPERR */
	IS(info.si_addr, 0x1000);
	IS(context.uc_mcontext.trapno, 14);
	IS(context.uc_mcontext.cr2, 0x1000);
	__asm__ volatile("leaq main(%%rip), %%rax; movl $1, (%%rax)" : : : "rax", "memory");
	IS(info.si_code, 2);			/* SEGV_ACCERR */
	handle(SIGSEGV, NULL, 0);
	handle(SIGILL, skip_two, 0);
	__asm__ volatile("ud2");
	IS(last, SIGILL);
	IS(info.si_code, 2);			/* ILL_ILLOPN */
	handle(SIGTRAP, note, 0);
	__asm__ volatile("int3");
	IS(last, SIGTRAP);
	IS(info.si_code, 0x80);			/* SI_KERNEL */
	handle(SIGFPE, skip_two, 0);
	quotient = 7;
	__asm__ volatile("xorl %%edx, %%edx; xorl %%ecx, %%ecx; divl %%ecx" : "+a"(quotient) : : "rcx", "rdx");
	IS(last, SIGFPE);
	IS(info.si_code, 1);			/* FPE_INTDIV */
	/* Ignored or blocked, a fault kills all the same. */
	IS(CHILD({ ignore(SIGSEGV, 1); *(volatile int *)BAD_POINTER; }), 1000 + SIGSEGV);
	/* No room for the frame. */
	IS(CHILD({ handle(SIGUSR1, note, 0); __asm__ volatile("movq $0x1000, %%rsp; int3" : : : "memory"); }), 1000 + SIGSEGV);
	IS(CHILD({ unsigned long act[4] = { (unsigned long)note }; rt_sigaction(SIGUSR1, act, NULL, 8);
		   kill(getpid(), SIGUSR1); }), 1000 + SIGSEGV);
}

/* A sleep is cut short; a read begins again, or does not. */
static void test_interrupted(void)
{
	struct timespec want = { 10, 0 }, left = { 0, 0 };
	pid_t me = getpid(), child;
	int fds[2];
	char byte;

	handle(SIGUSR2, note, 0);
	child = fork();
	if (!child) {
		nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
		kill(me, SIGUSR2);
		_exit(0);
	}
	FAILS(nanosleep(&want, &left), EINTR);
	IS(left.tv_sec, 9);
	IS(wait4(child, NULL, 0, NULL), child);
	for (int restart = 0; restart < 2; restart++) {
		IS(pipe(fds), 0);
		handle(SIGUSR2, note, restart ? SA_RESTART : 0);
		child = fork();
		if (!child) {
			nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
			kill(me, SIGUSR2);
			nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
			write(fds[1], "x", 1);
			_exit(0);
		}
		if (restart)
			IS(read(fds[0], &byte, 1), 1);
		else
			FAILS(read(fds[0], &byte, 1), EINTR);
		IS(wait4(child, NULL, 0, NULL), child);
		IS(close(fds[0]) | close(fds[1]), 0);
	}
	handle(SIGCHLD, note, SA_RESTART);
	IS(CHILD(_exit(3)), 3);
	IS(last, SIGCHLD);
	IS(info.si_code, 1);			/* CLD_EXITED */
	IS(info.si_status, 3);
	handle(SIGCHLD, NULL, 0);
}

static void refuse_getpid(unsigned int action)
{
	struct sock_filter filter[] = {
		BPF_STMT(LD_W_ABS, DATA_NR),
		BPF_JUMP(JMP_JEQ_K, SYS_getpid, 0, 1),
		BPF_STMT(RET_K, action),
		BPF_STMT(RET_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	seccomp(SECCOMP_SET_MODE_FILTER, 0, &program);
}

static void test_sigsys(void)
{
	IS(CHILD({
		handle(SIGSYS, answer, 0);
		refuse_getpid(SECCOMP_RET_TRAP + 9);
		IS(getpid(), 1234);
		IS(calls > 0, 1);
		IS(info.si_signo, SIGSYS);
		IS(info.si_errno, 9);
		IS(info.si_code, 1);		/* SYS_SECCOMP */
		IS(info.si_syscall, SYS_getpid);
		IS(info.si_arch, AUDIT_ARCH_X86_64);
		IS(info.si_call_addr, context.uc_mcontext.ip);
		IS(((unsigned char *)info.si_call_addr)[-1], 0x05);
		/* As if the instruction had trapped: rax still is the number. */
		IS(context.uc_mcontext.ax, SYS_getpid);
	}), 0);
	/* KILL asks no handler. */
	IS(CHILD({ handle(SIGSYS, answer, 0); refuse_getpid(SECCOMP_RET_KILL_PROCESS); getpid(); }), 1000 + SIGSYS);
	IS(CHILD({ handle(SIGSYS, answer, 0); refuse_getpid(SECCOMP_RET_KILL_THREAD); getpid(); }), 1000 + SIGSYS);
	/* Blocked or ignored, it kills. */
	IS(CHILD({ uint64_t all = ~0ULL; handle(SIGSYS, answer, 0); refuse_getpid(SECCOMP_RET_TRAP);
		   rt_sigprocmask(SIG_SETMASK, &all, NULL, 8); getpid(); }), 1000 + SIGSYS);
	IS(CHILD({ ignore(SIGSYS, 1); refuse_getpid(SECCOMP_RET_TRAP); getpid(); }), 1000 + SIGSYS);
}

int main(void)
{
	test_actions();
	test_calls();
	test_faults();
	test_interrupted();
	test_sigsys();
	if (!wrong)
		dprintf(1, "sigtests: ok\n");
	return wrong != 0;
}
