/* idle.c: what a CPU does when nobody wants it. */
#include "processor.h"
#include "sched.h"

/*
 * sti takes effect after the next instruction, so an interrupt can not come before the hlt that it is to end. Not for
 * probes: a kprobe runs the instruction it replaced with interrupts off, and a hlt would then last for ever.
 */
static noinstr void native_safe_halt(void)
{
	__asm__ __volatile__("sti; hlt" ::: "memory");
}

static noinline void default_idle(void)
{
	native_safe_halt();
}

static noinline void do_idle(void)
{
	tick_nohz_idle_enter();
	while (!need_resched()) {
		local_irq_disable();
		if (need_resched())
			local_irq_enable();
		else
			default_idle();
	}
	tick_nohz_idle_exit();
	schedule_idle();
}

void cpu_startup_entry(void)
{
	for (;;)
		do_idle();
}
