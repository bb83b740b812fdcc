/* spinlock.h: spinlocks. Holding one keeps preemption off; the irqsave forms are for data that interrupts touch too. */
#ifndef _SPINLOCK_H
#define _SPINLOCK_H

#include "preempt.h"
#include "irqflags.h"
#include "thread_info.h"

typedef struct { unsigned int locked; } spinlock_t;
typedef spinlock_t raw_spinlock_t;

#define __SPIN_LOCK_UNLOCKED	{ 0 }
#define DEFINE_SPINLOCK(x)	spinlock_t x = __SPIN_LOCK_UNLOCKED
#define spin_lock_init(l)	((l)->locked = 0)

/* The inner loop only reads: the bus stays quiet until the owner lets go. */
static __always_inline void arch_spin_lock(spinlock_t *lock)
{
	while (__sync_lock_test_and_set(&lock->locked, 1))
		while (READ_ONCE(lock->locked))
			__asm__ __volatile__("pause");
}

static __always_inline bool arch_spin_trylock(spinlock_t *lock)
{
	return !__sync_lock_test_and_set(&lock->locked, 1);
}

static __always_inline void arch_spin_unlock(spinlock_t *lock) { __sync_lock_release(&lock->locked); }

static __always_inline void spin_lock(spinlock_t *lock)
{
	preempt_disable();
	arch_spin_lock(lock);
}

static __always_inline void spin_unlock(spinlock_t *lock)
{
	arch_spin_unlock(lock);
	preempt_enable();
}

static __always_inline void spin_lock_irq(spinlock_t *lock)
{
	local_irq_disable();
	spin_lock(lock);
}

/* Interrupts come back on before preempt_enable(), which may call the scheduler. */
static __always_inline void spin_unlock_irq(spinlock_t *lock)
{
	arch_spin_unlock(lock);
	local_irq_enable();
	preempt_enable();
}

#define spin_lock_irqsave(lock, flags)	do {				\
	local_irq_save(flags);						\
	spin_lock(lock);						\
} while (0)

static __always_inline void spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags)
{
	arch_spin_unlock(lock);
	local_irq_restore(flags);
	if (flags & X86_EFLAGS_IF)
		preempt_enable();
	else
		preempt_enable_no_resched();
}

#define raw_spin_lock(l)			spin_lock(l)
#define raw_spin_unlock(l)			spin_unlock(l)
#define raw_spin_lock_irqsave(l, f)		spin_lock_irqsave(l, f)
#define raw_spin_unlock_irqrestore(l, f)	spin_unlock_irqrestore(l, f)

#endif
