/* traps.c: the exceptions other than page faults. A user's becomes a signal; the kernel's own is an oops. */
#include "hypercalls.h"
#include "mm.h"
#include "printk.h"
#include "processor.h"
#include "sched.h"
#include "uaccess.h"

/* Set by the host while it changes code that is longer than one byte: the int3 it places meanwhile is its own. */
int bp_patching_in_progress;

DECLARE_PER_CPU(unsigned long, current_kprobe);

/* sicode 0: nothing more is known than that the kernel has sent it. */
static void do_trap(int trapnr, int signr, const char *str, struct pt_regs *regs, long error_code, int sicode)
{
	if (user_mode(regs)) {
		current->thread.trap_nr = trapnr;
		current->thread.error_code = error_code;
		if (unhandled_signal(current, signr))
			pr_info("traps: %s[%d] trap %s ip:%lx sp:%lx error:%lx\n",
				current->comm, current->pid, str, regs->ip, regs->sp, error_code);
		if (sicode)
			force_sig_fault(signr, sicode, (void __user *)regs->ip);
		else
			force_sig(signr);
		return;
	}
	/* Besides page faults only #GP is the kprobe core's business. */
	if (trapnr == 13 && this_cpu_read(current_kprobe) && kprobe_fault_handler(regs, trapnr))
		return;
	if (!fixup_exception(regs))
		die(str, regs, error_code);
}

DEFINE_IDTENTRY(exc_divide_error) { do_trap(0, SIGFPE, "divide error", regs, 0, FPE_INTDIV); }
DEFINE_IDTENTRY(exc_overflow) { do_trap(4, SIGSEGV, "overflow", regs, 0, 0); }
DEFINE_IDTENTRY(exc_bounds) { do_trap(5, SIGSEGV, "bounds", regs, 0, 0); }
DEFINE_IDTENTRY(exc_device_not_available) { do_trap(7, SIGFPE, "device not available", regs, 0, 0); }
DEFINE_IDTENTRY_ERRORCODE(exc_invalid_tss) { do_trap(10, SIGSEGV, "invalid TSS", regs, error_code, 0); }
DEFINE_IDTENTRY_ERRORCODE(exc_segment_not_present) { do_trap(11, SIGBUS, "segment not present", regs, error_code, 0); }
DEFINE_IDTENTRY_ERRORCODE(exc_stack_segment) { do_trap(12, SIGBUS, "stack segment", regs, error_code, 0); }
DEFINE_IDTENTRY_ERRORCODE(exc_general_protection) { do_trap(13, SIGSEGV, "general protection fault", regs, error_code, 0); }
DEFINE_IDTENTRY_ERRORCODE(exc_alignment_check) { do_trap(17, SIGBUS, "alignment check", regs, error_code, BUS_ADRALN); }

/* ud2 stands for BUG() and WARN(): the address says which. A warning goes on after the two bytes. */
static noinstr bool handle_bug(struct pt_regs *regs)
{
	return report_bug(regs->ip, regs) == BUG_TRAP_TYPE_WARN;
}

void exc_invalid_op(struct pt_regs *regs);
noinstr void exc_invalid_op(struct pt_regs *regs)
{
	if (!user_mode(regs) && handle_bug(regs)) {
		regs->ip += 2;
		return;
	}
	irqentry_enter(regs);
	do_trap(6, SIGILL, "invalid opcode", regs, 0, ILL_ILLOPN);
	irqentry_exit(regs);
}

static bool __kprobes do_int3(struct pt_regs *regs)
{
	return kprobe_int3_handler(regs);
}

static void do_int3_user(struct pt_regs *regs)
{
	if (do_int3(regs) || uprobe_pre_sstep_notifier(regs))
		return;
	local_irq_enable();
	do_trap(3, SIGTRAP, "int3", regs, 0, 0);
	local_irq_disable();
}

void exc_int3(struct pt_regs *regs);
noinstr void exc_int3(struct pt_regs *regs)
{
	/* First of all, and before any bookkeeping: the code that is being patched may be the bookkeeping. */
	if (bp_patching_in_progress && poke_int3_handler(regs))
		return;

	if (user_mode(regs)) {
		irqentry_enter_from_user_mode(regs);
		do_int3_user(regs);
		irqentry_exit_to_user_mode(regs);
	} else {
		irqentry_nmi_enter(regs);
		if (!do_int3(regs))
			die("int3", regs, 0);
		irqentry_nmi_exit(regs);
	}
}

/* After one instruction with TF set: how kprobes stepped up to Linux 5.12. */
void exc_debug(struct pt_regs *regs);
noinstr void exc_debug(struct pt_regs *regs)
{
	if (user_mode(regs)) {
		irqentry_enter_from_user_mode(regs);
		if (!uprobe_post_sstep_notifier(regs)) {
			regs->flags &= ~X86_EFLAGS_TF;
			do_trap(1, SIGTRAP, "debug", regs, 0, 0);
		}
		irqentry_exit_to_user_mode(regs);
	} else {
		irqentry_nmi_enter(regs);
		if (!kprobe_debug_handler(regs))
			die("debug", regs, 0);
		irqentry_nmi_exit(regs);
	}
}

/* On its own stack. By far the likeliest cause is a kernel stack that grew into its guard page. */
void exc_double_fault(struct pt_regs *regs, unsigned long error_code);
noinstr void exc_double_fault(struct pt_regs *regs, unsigned long error_code)
{
	unsigned long cr2 = read_cr2(), stack = (unsigned long)current->stack;

	irqentry_nmi_enter(regs);
	if (cr2 < stack && cr2 >= stack - (STACK_SLOT_SIZE - THREAD_SIZE))
		pr_alert("BUG: stack guard page was hit at %016lx (stack is %016lx..%016lx)\n",
			 cr2, stack, stack + THREAD_SIZE - 1);
	die("double fault", regs, error_code);
	panic("Machine halted.");
}

/* arch_rethook_trampoline has built regs; regs + 1 is the word it will return through. */
void arch_rethook_trampoline_callback(struct pt_regs *regs);
__kprobes void arch_rethook_trampoline_callback(struct pt_regs *regs)
{
	/* The stack pointer that the caller of the probed function has after the return. */
	regs->sp += 2 * sizeof(long);
	rethook_trampoline_handler(regs, (unsigned long)(regs + 1));
	/* The trampoline takes the flags from the last word before the return address. */
	regs->ss = regs->flags;
}
