/* irqflags.h: this CPU's interrupt flag. */
#ifndef _IRQFLAGS_H
#define _IRQFLAGS_H

#include "types.h"
#include "compiler.h"

#define X86_EFLAGS_TF	0x100
#define X86_EFLAGS_IF	0x200
#define X86_EFLAGS_DF	0x400
#define X86_EFLAGS_RF	0x10000

static __always_inline unsigned long native_save_fl(void)
{
	unsigned long flags;

	__asm__ __volatile__("pushfq; popq %0" : "=rm"(flags) : : "memory");
	return flags;
}

static __always_inline void local_irq_disable(void) { __asm__ __volatile__("cli" ::: "memory"); }
static __always_inline void local_irq_enable(void) { __asm__ __volatile__("sti" ::: "memory"); }
static __always_inline bool irqs_disabled(void) { return !(native_save_fl() & X86_EFLAGS_IF); }

#define local_irq_save(flags)	do { (flags) = native_save_fl(); local_irq_disable(); } while (0)
#define local_irq_restore(flags) do { if ((flags) & X86_EFLAGS_IF) local_irq_enable(); } while (0)

#endif
