/*
 * preempt.h: __preempt_count, per CPU: in what context are we, and may the scheduler take this CPU away?
 *
 *   bits  0-7   preempt_disable() nesting, with CONFIG_PREEMPTION
 *   bits  8-15  softirq (unused here)
 *   bits 16-19  hard interrupt nesting
 *   bits 20-23  NMI and NMI-like (int3) nesting
 */
#ifndef _PREEMPT_H
#define _PREEMPT_H

#include "percpu.h"

#define HARDIRQ_OFFSET	0x10000
#define NMI_OFFSET	0x100000
#define HARDIRQ_MASK	0xf0000
#define NMI_MASK	0xf00000

DECLARE_PER_CPU(int, __preempt_count);

#define preempt_count()	this_cpu_read(__preempt_count)
#define in_nmi()	(preempt_count() & NMI_MASK)
#define in_hardirq()	(preempt_count() & HARDIRQ_MASK)
#define in_interrupt()	(preempt_count() & (NMI_MASK | HARDIRQ_MASK))

/* One instruction, so an interrupt can not come between read and write. */
static __always_inline void __preempt_count_add(int val)
{
	__asm__ __volatile__("addl %1, %%gs:%0" : "+m"(__preempt_count) : "ri"(val) : "memory", "cc");
}

static __always_inline void __preempt_count_sub(int val) { __preempt_count_add(-val); }

/*
 * Without CONFIG_PREEMPTION a task keeps the CPU in the kernel until it calls schedule() or goes back to user mode:
 * there is nothing to switch off, and nothing to count.
 */
#ifdef CONFIG_PREEMPTION
#define PREEMPT_OFFSET	0x1

void preempt_schedule(void);

#define preempt_disable()	__preempt_count_add(PREEMPT_OFFSET)
#define preempt_enable_no_resched() __preempt_count_sub(PREEMPT_OFFSET)
#define preempt_enable()	do {					\
	__preempt_count_sub(PREEMPT_OFFSET);				\
	if (unlikely(!preempt_count() && need_resched()))		\
		preempt_schedule();					\
} while (0)
#else
#define PREEMPT_OFFSET	0

#define preempt_disable()		barrier()
#define preempt_enable_no_resched()	barrier()
#define preempt_enable()		barrier()
#endif

#endif
