/*
 * signal_64.c: how a handler is called. The interrupted registers are put on the user's stack, as a frame that a debugger
 * knows, and the task goes on in the handler; that returns to sa_restorer, which calls rt_sigreturn, and the registers are
 * taken back from the frame. (Linux: arch/x86/kernel/signal.c.)
 */
#include "printk.h"
#include "processor.h"
#include "syscalls.h"

#define UC_SIGCONTEXT_SS	2
#define UC_STRICT_RESTORE_SS	4
#define REDZONE			128	/* bytes below the stack pointer that are the program's */
/* What a program may set in its flags: carry, parity, adjust, zero, sign, trap, direction, overflow, resume, alignment. */
#define FIX_EFLAGS		0x50dd5UL

struct sigcontext_64 {
	u64 r8, r9, r10, r11, r12, r13, r14, r15;	/*   0 */
	u64 di, si, bp, bx, dx, ax, cx, sp, ip, flags;	/*  64 */
	u16 cs, gs, fs, ss;				/* 144 */
	u64 err, trapno, oldmask, cr2;			/* 152 */
	u64 fpstate;					/* 184: none: no program uses these registers */
	u64 reserved1[8];
};

struct ucontext {
	u64 uc_flags;			/*  0 */
	u64 uc_link;
	u64 ss_sp;			/* 16: the alternative stack: there is none */
	u32 ss_flags, __pad;
	u64 ss_size;
	struct sigcontext_64 uc_mcontext;	/* 40 */
	u64 uc_sigmask;			/* 296 */
};
#define SS_DISABLE	2

struct rt_sigframe {
	u64 pretcode;			/*   0: the handler's return address */
	struct ucontext uc;		/*   8 */
	u8 info[SI_MAX_SIZE];		/* 312: struct siginfo */
};

_Static_assert(sizeof(struct sigcontext_64) == 256 && offsetof(struct ucontext, uc_mcontext) == 40, "");
_Static_assert(offsetof(struct rt_sigframe, info) == 312 && sizeof(struct rt_sigframe) == 440, "");

static void unsafe_put_sigcontext(struct sigcontext_64 *sc, const struct pt_regs *regs, u64 mask)
{
	*sc = (struct sigcontext_64){
		regs->r8, regs->r9, regs->r10, regs->r11, regs->r12, regs->r13, regs->r14, regs->r15,
		regs->di, regs->si, regs->bp, regs->bx, regs->dx, regs->ax, regs->cx, regs->sp, regs->ip, regs->flags,
		.cs = regs->cs, .ss = regs->ss,
		.err = current->thread.error_code, .trapno = current->thread.trap_nr, .oldmask = mask,
		.cr2 = current->thread.cr2,
	};
}

/* On entry to the handler the stack is as after a call: 8 off a multiple of 16. */
static struct rt_sigframe __user *get_sigframe(const struct pt_regs *regs)
{
	unsigned long sp = (regs->sp - REDZONE - sizeof(struct rt_sigframe)) & ~15UL;

	return (struct rt_sigframe __user *)(sp - 8);
}

static noinline int setup_rt_frame(struct ksignal *ksig, struct pt_regs *regs)
{
	struct rt_sigframe __user *frame = get_sigframe(regs);
	struct rt_sigframe made = { .pretcode = ksig->ka.sa_restorer };

	/* The C library always has one. */
	if (!(ksig->ka.sa_flags & SA_RESTORER))
		return -EFAULT;
	made.uc.uc_flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	made.uc.ss_flags = SS_DISABLE;
	made.uc.uc_sigmask = current->blocked;
	unsafe_put_sigcontext(&made.uc.uc_mcontext, regs, current->blocked);
	__builtin_memcpy(made.info, &ksig->info, sizeof(ksig->info));
	if (!access_ok(frame, sizeof(*frame)) || copy_to_user(frame, &made, sizeof(made)))
		return -EFAULT;
	regs->di = ksig->sig;
	regs->ax = 0;
	/* Without SA_SIGINFO the handler has one parameter, and does not look at these. */
	regs->si = (unsigned long)&frame->info;
	regs->dx = (unsigned long)&frame->uc;
	regs->ip = ksig->ka.sa_handler;
	regs->sp = (unsigned long)frame;
	regs->cs = __USER_CS;
	regs->ss = __USER_DS;
	return 0;
}

static bool in_syscall(const struct pt_regs *regs)
{
	return (long)regs->orig_ax >= 0;
}

/* As if the syscall instruction had not been executed yet. */
static void restart_syscall(struct pt_regs *regs)
{
	regs->ax = regs->orig_ax;
	regs->ip -= 2;
}

static noinline void handle_signal(struct ksignal *ksig, struct pt_regs *regs)
{
	int failed;

	if (in_syscall(regs) && regs->ax == -ERESTARTSYS) {
		if (ksig->ka.sa_flags & SA_RESTART)
			restart_syscall(regs);
		else
			regs->ax = -EINTR;
	}
	failed = setup_rt_frame(ksig, regs);
	/* The handler begins with clear direction and trap flags. */
	if (!failed)
		regs->flags &= ~(X86_EFLAGS_DF | X86_EFLAGS_RF | X86_EFLAGS_TF);
	signal_setup_done(failed, ksig);
}

noinline void arch_do_signal_or_restart(struct pt_regs *regs)
{
	struct ksignal ksig;

	if (get_signal(&ksig)) {
		handle_signal(&ksig, regs);
		return;
	}
	/* Nothing is left of the signal that cut the call short. */
	if (in_syscall(regs) && regs->ax == -ERESTARTSYS)
		restart_syscall(regs);
}

static bool restore_sigcontext(struct pt_regs *regs, const struct sigcontext_64 *sc)
{
	/* iretq would fault in the kernel. */
	if (sc->ip >= TASK_SIZE_MAX)
		return false;
	regs->r8 = sc->r8, regs->r9 = sc->r9, regs->r10 = sc->r10, regs->r11 = sc->r11;
	regs->r12 = sc->r12, regs->r13 = sc->r13, regs->r14 = sc->r14, regs->r15 = sc->r15;
	regs->di = sc->di, regs->si = sc->si, regs->bp = sc->bp, regs->bx = sc->bx;
	regs->dx = sc->dx, regs->ax = sc->ax, regs->cx = sc->cx, regs->sp = sc->sp, regs->ip = sc->ip;
	/* The selectors are what they always are: nothing else is of use here. */
	regs->cs = __USER_CS;
	regs->ss = __USER_DS;
	regs->flags = (regs->flags & ~FIX_EFLAGS) | (sc->flags & FIX_EFLAGS);
	/* Not in a system call, so nothing restarts. */
	regs->orig_ax = -1;
	return true;
}

/* The handler has returned: its return address is taken off, so the frame begins a word below the stack pointer. */
SYSCALL_DEFINE0(rt_sigreturn)
{
	struct pt_regs *regs = task_pt_regs(current);
	struct rt_sigframe __user *frame = (struct rt_sigframe __user *)(regs->sp - sizeof(long));
	struct ucontext uc;

	if (!access_ok(frame, sizeof(*frame)) || copy_from_user(&uc, &frame->uc, sizeof(uc)))
		goto badframe;
	__set_current_blocked(uc.uc_sigmask);
	if (restore_sigcontext(regs, &uc.uc_mcontext))
		return regs->ax;
badframe:
	pr_info("%s[%d] bad frame in rt_sigreturn frame:%lx ip:%lx sp:%lx orax:%lx\n", current->comm, current->pid,
		(unsigned long)frame, regs->ip, regs->sp, regs->orig_ax);
	force_sig(SIGSEGV);
	return 0;
}
