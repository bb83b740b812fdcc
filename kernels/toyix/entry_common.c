/*
 * entry_common.c: what happens between an entry stub and the handler proper, and on the way back. (Linux:
 * kernel/entry/common.c.) On the way to user mode everything that was put off is done: rescheduling, signals.
 */
#include "processor.h"
#include "sched.h"
#include "trace.h"

/* Before the call is made. -1: it is not to be made, and regs say what the program gets instead. */
noinline long syscall_trace_enter(struct pt_regs *regs, long syscall, unsigned long work)
{
	return work & SYSCALL_WORK_SECCOMP && __secure_computing(NULL) == -1 ? -1 : syscall;
}

#define EXIT_TO_USER_MODE_WORK	(_TIF_NEED_RESCHED | _TIF_UPROBE | _TIF_SIGPENDING)

static void exit_to_user_mode_loop(struct pt_regs *regs, unsigned long ti_work)
{
	do {
		local_irq_enable();
		if (ti_work & _TIF_NEED_RESCHED)
			schedule();
		if (ti_work & _TIF_UPROBE)
			uprobe_notify_resume(regs);
		if (ti_work & _TIF_SIGPENDING)
			arch_do_signal_or_restart(regs);
		/* Off before the flags are read again: a wake-up after that comes as an interrupt in user mode. */
		local_irq_disable();
		ti_work = READ_ONCE(current_thread_info()->flags);
	} while (ti_work & EXIT_TO_USER_MODE_WORK);
}

static noinline void exit_to_user_mode_prepare(struct pt_regs *regs)
{
	unsigned long ti_work = READ_ONCE(current_thread_info()->flags);

	if (ti_work & EXIT_TO_USER_MODE_WORK)
		exit_to_user_mode_loop(regs, ti_work);
}

/* Also where a new task comes from, which has never called anything: its fork returns 0. */
noinstr void syscall_exit_to_user_mode(struct pt_regs *regs)
{
	trace_sys_exit(regs, regs->ax);
	local_irq_disable();
	exit_to_user_mode_prepare(regs);
}

noinstr void irqentry_enter_from_user_mode(struct pt_regs *regs)
{
}

noinstr void irqentry_exit_to_user_mode(struct pt_regs *regs)
{
	exit_to_user_mode_prepare(regs);
}

noinstr void irqentry_enter(struct pt_regs *regs)
{
	if (user_mode(regs))
		irqentry_enter_from_user_mode(regs);
}

/* Where the kernel is preemptible, an interrupt that made a more urgent task runnable switches to it here. */
static void irqentry_exit_cond_resched(void)
{
#ifdef CONFIG_PREEMPTION
	if (!preempt_count() && need_resched())
		preempt_schedule_irq();
#endif
}

noinstr void irqentry_exit(struct pt_regs *regs)
{
	if (user_mode(regs)) {
		local_irq_disable();
		irqentry_exit_to_user_mode(regs);
	} else if (regs->flags & X86_EFLAGS_IF) {
		local_irq_disable();
		irqentry_exit_cond_resched();
	}
}

/* An int3 can hit anywhere, also with interrupts on or inside the scheduler: no preemption, no sleeping, as in an NMI. */
noinstr void irqentry_nmi_enter(struct pt_regs *regs)
{
	__preempt_count_add(NMI_OFFSET + HARDIRQ_OFFSET);
}

noinstr void irqentry_nmi_exit(struct pt_regs *regs)
{
	__preempt_count_sub(NMI_OFFSET + HARDIRQ_OFFSET);
}

void irq_enter_rcu(void)
{
	__preempt_count_add(HARDIRQ_OFFSET);
}

void irq_exit_rcu(void)
{
	__preempt_count_sub(HARDIRQ_OFFSET);
}
