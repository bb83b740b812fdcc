/* dumpstack.c: how the kernel dies: what it says about itself, and BUG/WARN, which are found by address. */
#include "hypercalls.h"
#include "mm.h"
#include "printk.h"
#include "processor.h"
#include "sched.h"

extern const struct bug_entry __start___bug_table[], __stop___bug_table[];
extern char _stext[], _etext[];

static bool kernel_text_address(unsigned long addr)
{
	return (addr >= (unsigned long)_stext && addr < (unsigned long)_etext) ||
	       (addr >= MODULES_VADDR && addr < MODULES_VADDR + MODULES_PAGES * PAGE_SIZE);
}

extern char arch_rethook_trampoline[];

/* While the return of a function is probed its stack has the trampoline's address; the real one is in a list of the task's. */
static unsigned long unwind_recover_ret_addr(unsigned long addr, unsigned long *addr_p)
{
	unsigned long ret = 0;

	if (addr == (unsigned long)arch_rethook_trampoline)
		ret = rethook_find_ret_addr((unsigned long)current, (unsigned long)addr_p);
	return ret ? ret : addr;
}

/* Follows saved frame pointers while they stay on this stack and grow. */
static void show_trace(unsigned long bp)
{
	unsigned long stack = (unsigned long)current->stack, *frame = (unsigned long *)bp;

	pr_info("Call Trace:\n");
	while ((unsigned long)frame >= stack && (unsigned long)frame < stack + THREAD_SIZE - 16 && !(bp & 7)) {
		if (kernel_text_address(frame[1]))
			pr_info(" [<%016lx>]\n", unwind_recover_ret_addr(frame[1], &frame[1]));
		bp = frame[0];
		if (bp <= (unsigned long)frame)
			break;
		frame = (unsigned long *)bp;
	}
}

void dump_stack(void)
{
	pr_info("CPU: %d PID: %d Comm: %s\n", smp_processor_id(), current->pid, current->comm);
	show_trace((unsigned long)__builtin_frame_address(0));
}

void show_regs(struct pt_regs *regs)
{
	pr_info("CPU: %d PID: %d Comm: %s\n", smp_processor_id(), current->pid, current->comm);
	pr_info("RIP: %04lx:[<%016lx>]\n", regs->cs, regs->ip);
	pr_info("RSP: %04lx:%016lx EFLAGS: %08lx\n", regs->ss, regs->sp, regs->flags);
	pr_info("RAX: %016lx RBX: %016lx RCX: %016lx\n", regs->ax, regs->bx, regs->cx);
	pr_info("RDX: %016lx RSI: %016lx RDI: %016lx\n", regs->dx, regs->si, regs->di);
	pr_info("RBP: %016lx R08: %016lx R09: %016lx\n", regs->bp, regs->r8, regs->r9);
	pr_info("R10: %016lx R11: %016lx R12: %016lx\n", regs->r10, regs->r11, regs->r12);
	pr_info("R13: %016lx R14: %016lx R15: %016lx\n", regs->r13, regs->r14, regs->r15);
	pr_info("CR2: %016lx CR3: %016lx\n", read_cr2(), read_cr3());
	if (!user_mode(regs))
		show_trace(regs->bp);
}

int oops_in_progress;

/* An oops ends the task that was running; in interrupt context, or in a task the system can not do without, everything. */
void die(const char *str, struct pt_regs *regs, long err)
{
	static int die_counter;

	oops_in_progress++;
	pr_alert("%s: %04lx [#%d] PREEMPT SMP\n", str, err & 0xffff, ++die_counter);
	show_regs(regs);
	oops_in_progress--;
	if (in_interrupt())
		panic("Fatal exception in interrupt");
	if (!current->pid)
		panic("Attempted to kill the idle task!");
	do_exit(SIGSEGV);
}

void panic(const char *fmt, ...)
{
	static char buf[256];
	va_list args;

	local_irq_disable();
	oops_in_progress++;
	va_start(args, fmt);
	vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	pr_alert("Kernel panic - not syncing: %s\n", buf);
	dump_stack();
	hypercall(HC_PANIC, (unsigned long)buf, 0, 0);
	for (;;)
		__asm__ __volatile__("hlt");
}

static const struct bug_entry *find_bug(unsigned long addr)
{
	const struct bug_entry *bug;

	for (bug = __start___bug_table; bug < __stop___bug_table; bug++)
		if ((unsigned long)&bug->bug_addr_disp + bug->bug_addr_disp == addr)
			return bug;
	return NULL;
}

int report_bug(unsigned long addr, struct pt_regs *regs)
{
	const struct bug_entry *bug = find_bug(addr);
	const char *file;

	if (!bug)
		return BUG_TRAP_TYPE_NONE;
	file = (const char *)&bug->file_disp + bug->file_disp;
	if (bug->flags & BUGFLAG_WARNING) {
		pr_warn("------------[ cut here ]------------\n");
		pr_warn("WARNING: CPU: %d PID: %d at %s:%u\n", smp_processor_id(), current->pid, file, bug->line);
		show_regs(regs);
		return BUG_TRAP_TYPE_WARN;
	}
	pr_alert("------------[ cut here ]------------\n");
	pr_alert("kernel BUG at %s:%u!\n", file, bug->line);
	return BUG_TRAP_TYPE_BUG;
}
