/* thread_info.h: the part of a task that assembly and the lowest headers must see. */
#ifndef _THREAD_INFO_H
#define _THREAD_INFO_H

#include "percpu.h"

#define TIF_SIGPENDING		2
#define TIF_NEED_RESCHED	3
#define TIF_UPROBE		12
#define _TIF_UPROBE		(1UL << TIF_UPROBE)
#define _TIF_SIGPENDING		(1UL << TIF_SIGPENDING)
#define _TIF_NEED_RESCHED	(1UL << TIF_NEED_RESCHED)

#define SYSCALL_WORK_SECCOMP	(1UL << 0)

struct thread_info {
	unsigned long flags;	/*  0: TIF_ bits, also set from other CPUs */
	unsigned long syscall_work;	/*  8: SYSCALL_WORK_ bits: what comes before each system call */
	u32 cpu;		/* 16: where the task runs or ran last */
};

struct task_struct;
DECLARE_PER_CPU(struct task_struct *, current_task);
#define current			this_cpu_read(current_task)
/* thread_info is the first member of task_struct. */
#define current_thread_info()	((struct thread_info *)current)

static __always_inline void set_ti_thread_flag(struct thread_info *ti, int flag)
{
	__sync_fetch_and_or(&ti->flags, 1UL << flag);
}

static __always_inline void clear_ti_thread_flag(struct thread_info *ti, int flag)
{
	__sync_fetch_and_and(&ti->flags, ~(1UL << flag));
}

static __always_inline bool test_ti_thread_flag(struct thread_info *ti, int flag)
{
	return (READ_ONCE(ti->flags) >> flag) & 1;
}

static __always_inline void set_ti_syscall_work(struct thread_info *ti, unsigned long work)
{
	__sync_fetch_and_or(&ti->syscall_work, work);
}

#define set_thread_flag(flag)	set_ti_thread_flag(current_thread_info(), flag)
#define clear_thread_flag(flag)	clear_ti_thread_flag(current_thread_info(), flag)
#define test_thread_flag(flag)	test_ti_thread_flag(current_thread_info(), flag)
#define need_resched()		test_thread_flag(TIF_NEED_RESCHED)

#endif
