/*
 * trace.h: tracepoints: named places in the kernel that someone may want to hear of. Off, one costs a compare of
 * __tracepoint_NAME.enabled (Linux patches a nop instead); on, it calls __traceiter_NAME, which is a hypercall (trace.S).
 * The host switches them by writing that word. The arguments are Linux's, without those that the host can find itself.
 */
#ifndef _TRACE_H
#define _TRACE_H

#include "compiler.h"
#include "ptrace.h"

struct tracepoint {
	const char *name;
	int enabled;			/* 8: how many listeners; written by the host */
};

#define TP(...)	__VA_ARGS__
#define DECLARE_TRACE(name, proto, args)				\
	extern struct tracepoint __tracepoint_##name;			\
	void __traceiter_##name(proto);					\
	static __always_inline void trace_##name(proto)			\
	{								\
		if (unlikely(READ_ONCE(__tracepoint_##name.enabled)))	\
			__traceiter_##name(args);			\
	}

struct task_struct;
struct hrtimer;
struct work_struct;

DECLARE_TRACE(sys_enter, TP(struct pt_regs *regs, long id), TP(regs, id))
DECLARE_TRACE(sys_exit, TP(struct pt_regs *regs, long ret), TP(regs, ret))
DECLARE_TRACE(sched_switch, TP(bool preempt, struct task_struct *prev, struct task_struct *next), TP(preempt, prev, next))
DECLARE_TRACE(sched_waking, TP(struct task_struct *p), TP(p))
DECLARE_TRACE(sched_wakeup, TP(struct task_struct *p), TP(p))
DECLARE_TRACE(sched_wakeup_new, TP(struct task_struct *p), TP(p))
DECLARE_TRACE(sched_migrate_task, TP(struct task_struct *p, int dest_cpu), TP(p, dest_cpu))
DECLARE_TRACE(sched_stat_runtime, TP(struct task_struct *tsk, u64 runtime, u64 vruntime), TP(tsk, runtime, vruntime))
DECLARE_TRACE(sched_process_fork, TP(struct task_struct *parent, struct task_struct *child), TP(parent, child))
DECLARE_TRACE(sched_process_exec, TP(struct task_struct *p, int old_pid, const char *filename), TP(p, old_pid, filename))
DECLARE_TRACE(sched_process_exit, TP(struct task_struct *p), TP(p))
DECLARE_TRACE(sched_process_wait, TP(int pid), TP(pid))
DECLARE_TRACE(sched_process_free, TP(struct task_struct *p), TP(p))
DECLARE_TRACE(signal_generate, TP(int sig, struct task_struct *p, int result), TP(sig, p, result))
DECLARE_TRACE(signal_deliver, TP(int sig), TP(sig))
DECLARE_TRACE(kmalloc, TP(unsigned long call_site, const void *ptr, unsigned long bytes_req), TP(call_site, ptr, bytes_req))
DECLARE_TRACE(kfree, TP(unsigned long call_site, const void *ptr), TP(call_site, ptr))
DECLARE_TRACE(page_fault_user, TP(unsigned long address, struct pt_regs *regs, unsigned long error_code), TP(address, regs, error_code))
DECLARE_TRACE(page_fault_kernel, TP(unsigned long address, struct pt_regs *regs, unsigned long error_code), TP(address, regs, error_code))
DECLARE_TRACE(irq_handler_entry, TP(int irq, const char *name), TP(irq, name))
DECLARE_TRACE(irq_handler_exit, TP(int irq, const char *name, int ret), TP(irq, name, ret))
DECLARE_TRACE(local_timer_entry, TP(int vector), TP(vector))
DECLARE_TRACE(local_timer_exit, TP(int vector), TP(vector))
DECLARE_TRACE(reschedule_entry, TP(int vector), TP(vector))
DECLARE_TRACE(reschedule_exit, TP(int vector), TP(vector))
DECLARE_TRACE(hrtimer_start, TP(struct hrtimer *timer), TP(timer))
DECLARE_TRACE(hrtimer_cancel, TP(struct hrtimer *timer), TP(timer))
DECLARE_TRACE(hrtimer_expire_entry, TP(struct hrtimer *timer, s64 now), TP(timer, now))
DECLARE_TRACE(hrtimer_expire_exit, TP(struct hrtimer *timer), TP(timer))
DECLARE_TRACE(workqueue_execute_start, TP(struct work_struct *work), TP(work))
DECLARE_TRACE(workqueue_execute_end, TP(struct work_struct *work), TP(work))

#endif
