/*
 * trace.h: tracepoints: named places in the kernel that someone may want to hear of. Off, one costs a nop; on, the nop is a
 * jmp (jump_label.h) to a call of __traceiter_NAME, which is a hypercall (trace.S). Names and arguments are Linux's.
 */
#ifndef _TRACE_H
#define _TRACE_H

#include "compiler.h"
#include "jump_label.h"
#include "ptrace.h"
#include "signal.h"
#include "time.h"

struct tracepoint {
	const char *name;
	struct static_key key;		/*  8: on while somebody listens */
	void *iterator;			/* 24: __traceiter_NAME */
};

#define TP(...)	__VA_ARGS__
#define DECLARE_TRACE(name, proto, args)				\
	extern struct tracepoint __tracepoint_##name;			\
	void __traceiter_##name(proto);					\
	static __always_inline void trace_##name(proto)			\
	{								\
		if (static_key_false(&__tracepoint_##name.key))		\
			__traceiter_##name(args);			\
	}

struct task_struct;
struct linux_binprm;
struct work_struct;
struct irqaction;
struct k_sigaction;

DECLARE_TRACE(sys_enter, TP(struct pt_regs *regs, long id), TP(regs, id))
DECLARE_TRACE(sys_exit, TP(struct pt_regs *regs, long ret), TP(regs, ret))
DECLARE_TRACE(sched_switch, TP(bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state),
	      TP(preempt, prev, next, prev_state))
DECLARE_TRACE(sched_waking, TP(struct task_struct *p), TP(p))
DECLARE_TRACE(sched_wakeup, TP(struct task_struct *p), TP(p))
DECLARE_TRACE(sched_wakeup_new, TP(struct task_struct *p), TP(p))
DECLARE_TRACE(sched_migrate_task, TP(struct task_struct *p, int dest_cpu), TP(p, dest_cpu))
DECLARE_TRACE(sched_stat_runtime, TP(struct task_struct *tsk, u64 runtime, u64 vruntime), TP(tsk, runtime, vruntime))
DECLARE_TRACE(sched_process_fork, TP(struct task_struct *parent, struct task_struct *child), TP(parent, child))
DECLARE_TRACE(sched_process_exec, TP(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm), TP(p, old_pid, bprm))
DECLARE_TRACE(sched_process_exit, TP(struct task_struct *p), TP(p))
DECLARE_TRACE(sched_process_wait, TP(pid_t pid), TP(pid))
DECLARE_TRACE(sched_process_free, TP(struct task_struct *p), TP(p))
DECLARE_TRACE(task_newtask, TP(struct task_struct *task, unsigned long clone_flags), TP(task, clone_flags))
DECLARE_TRACE(task_rename, TP(struct task_struct *task, const char *comm), TP(task, comm))
DECLARE_TRACE(signal_generate, TP(int sig, struct kernel_siginfo *info, struct task_struct *task, int group, int result),
	      TP(sig, info, task, group, result))
DECLARE_TRACE(signal_deliver, TP(int sig, struct kernel_siginfo *info, struct k_sigaction *ka), TP(sig, info, ka))
DECLARE_TRACE(kmalloc, TP(unsigned long call_site, const void *ptr, size_t bytes_req, size_t bytes_alloc, gfp_t gfp_flags, int node),
	      TP(call_site, ptr, bytes_req, bytes_alloc, gfp_flags, node))
DECLARE_TRACE(kfree, TP(unsigned long call_site, const void *ptr), TP(call_site, ptr))
DECLARE_TRACE(page_fault_user, TP(unsigned long address, struct pt_regs *regs, unsigned long error_code), TP(address, regs, error_code))
DECLARE_TRACE(page_fault_kernel, TP(unsigned long address, struct pt_regs *regs, unsigned long error_code), TP(address, regs, error_code))
DECLARE_TRACE(irq_handler_entry, TP(int irq, const struct irqaction *action), TP(irq, action))
DECLARE_TRACE(irq_handler_exit, TP(int irq, const struct irqaction *action, int ret), TP(irq, action, ret))
DECLARE_TRACE(local_timer_entry, TP(int vector), TP(vector))
DECLARE_TRACE(local_timer_exit, TP(int vector), TP(vector))
DECLARE_TRACE(reschedule_entry, TP(int vector), TP(vector))
DECLARE_TRACE(reschedule_exit, TP(int vector), TP(vector))
DECLARE_TRACE(irq_work_entry, TP(int vector), TP(vector))
DECLARE_TRACE(irq_work_exit, TP(int vector), TP(vector))
DECLARE_TRACE(hrtimer_init, TP(struct hrtimer *hrtimer, clockid_t clockid, enum hrtimer_mode mode), TP(hrtimer, clockid, mode))
DECLARE_TRACE(hrtimer_start, TP(struct hrtimer *hrtimer, enum hrtimer_mode mode, bool was_armed), TP(hrtimer, mode, was_armed))
DECLARE_TRACE(hrtimer_cancel, TP(struct hrtimer *hrtimer), TP(hrtimer))
DECLARE_TRACE(hrtimer_expire_entry, TP(struct hrtimer *hrtimer, ktime_t *now), TP(hrtimer, now))
DECLARE_TRACE(hrtimer_expire_exit, TP(struct hrtimer *hrtimer), TP(hrtimer))
DECLARE_TRACE(workqueue_execute_start, TP(struct work_struct *work), TP(work))
DECLARE_TRACE(workqueue_execute_end, TP(struct work_struct *work, void (*function)(struct work_struct *)), TP(work, function))

#endif
