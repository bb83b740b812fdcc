/* sched_core.c: giving the CPU from one task to another, and making tasks runnable. (Linux: kernel/sched/core.c) */
#include "hypercalls.h"
#include "mm.h"
#include "printk.h"
#include "processor.h"
#include "rq.h"
#include "sched.h"
#include "trace.h"

DEFINE_PER_CPU(struct rq, runqueues);

void __init sched_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct rq *rq = cpu_rq(cpu);

		rq->cpu = cpu;
		init_cfs_rq(&rq->cfs);
	}
	/* The boot task borrows the kernel's own tables, as every idle task does at first. */
	mmgrab(&init_mm);
	init_idle(&init_task, 0);
}

void init_idle(struct task_struct *idle, int cpu)
{
	struct rq *rq = cpu_rq(cpu);

	idle->thread_info.cpu = cpu;
	idle->flags |= PF_IDLE;
	idle->__state = TASK_RUNNING;
	idle->on_cpu = 1;
	idle->on_rq = 1;
	snprintf(idle->comm, sizeof(idle->comm), "swapper/%d", cpu);
	rq->curr = rq->idle = idle;
}

bool idle_cpu(int cpu)
{
	struct rq *rq = cpu_rq(cpu);

	return READ_ONCE(rq->curr) == rq->idle && !READ_ONCE(rq->nr_running);
}

unsigned int nr_running(void)
{
	unsigned int sum = 0;
	int cpu;

	for_each_online_cpu(cpu)
		sum += cpu_rq(cpu)->nr_running;
	return sum;
}

/* Ask a CPU to call schedule() soon: at its next interrupt exit or preempt_enable(). Another CPU must be told. */
void resched_curr(struct rq *rq)
{
	if (test_ti_thread_flag(&rq->curr->thread_info, TIF_NEED_RESCHED))
		return;
	set_ti_thread_flag(&rq->curr->thread_info, TIF_NEED_RESCHED);
	if (rq->cpu != smp_processor_id())
		smp_send_reschedule(rq->cpu);
}

static void activate_task(struct rq *rq, struct task_struct *p, bool wakeup)
{
	enqueue_task_fair(rq, p, wakeup);
	rq->nr_running++;
	p->on_rq = 1;
}

static void deactivate_task(struct rq *rq, struct task_struct *p)
{
	p->on_rq = 0;
	rq->nr_running--;
	dequeue_task_fair(rq, p);
}

static void check_preempt_curr(struct rq *rq, struct task_struct *p)
{
	if (rq->curr == rq->idle || wakeup_preempt_entity(rq, p))
		resched_curr(rq);
}

/* vruntimes of two queues have nothing to do with each other; what counts is the distance from the least. */
static void set_task_cpu(struct task_struct *p, int new_cpu)
{
	trace_sched_migrate_task(p, new_cpu);
	p->se.vruntime += cpu_rq(new_cpu)->cfs.min_vruntime - task_rq(p)->cfs.min_vruntime;
	WRITE_ONCE(p->thread_info.cpu, new_cpu);
}

static noinline void ttwu_do_wakeup(struct task_struct *p)
{
	WRITE_ONCE(p->__state, TASK_RUNNING);
	trace_sched_wakeup(p);
}

/* The task has not left its queue yet (it only announced that it would sleep): it just stays. */
static bool ttwu_runnable(struct task_struct *p)
{
	struct rq *rq = task_rq(p);
	bool ret = false;

	raw_spin_lock(&rq->__lock);
	if (p->on_rq) {
		check_preempt_curr(rq, p);
		ttwu_do_wakeup(p);
		ret = true;
	}
	raw_spin_unlock(&rq->__lock);
	return ret;
}

static noinline void ttwu_queue(struct task_struct *p, int cpu)
{
	struct rq *rq = cpu_rq(cpu);

	raw_spin_lock(&rq->__lock);
	activate_task(rq, p, true);
	check_preempt_curr(rq, p);
	ttwu_do_wakeup(p);
	raw_spin_unlock(&rq->__lock);
}

/* Wakes p if it sleeps in one of the states. Returns whether it did. */
int try_to_wake_up(struct task_struct *p, unsigned int state, int wake_flags)
{
	unsigned long flags;
	int cpu, success = 0;

	raw_spin_lock_irqsave(&p->pi_lock, flags);
	/* What the waker wrote before must be visible to the task that finds itself awake. */
	smp_mb();
	if (!(READ_ONCE(p->__state) & state))
		goto out;
	success = 1;
	trace_sched_waking(p);
	if (p == current) {
		ttwu_do_wakeup(p);
		goto out;
	}
	if (READ_ONCE(p->on_rq) && ttwu_runnable(p))
		goto out;
	/* Off its queue, but its CPU may still be on its stack, in the middle of the switch. */
	while (smp_load_acquire(&p->on_cpu))
		cpu_relax();
	cpu = select_task_rq_fair(p, task_cpu(p));
	if (cpu != task_cpu(p))
		set_task_cpu(p, cpu);
	ttwu_queue(p, cpu);
out:
	raw_spin_unlock_irqrestore(&p->pi_lock, flags);
	return success;
}

int wake_up_process(struct task_struct *p)
{
	return try_to_wake_up(p, TASK_NORMAL, 0);
}

void sched_fork(struct task_struct *p)
{
	p->__state = TASK_NEW;
	p->on_rq = 0;
	p->on_cpu = 0;
	p->se = (struct sched_entity){ 0 };
}

/* A new task's first CPU: each in turn, so that a pipeline's processes are spread at once. */
static int select_task_rq_fork(void)
{
	static int next_cpu;
	int cpu = next_cpu;

	do
		cpu = (cpu + 1) % nr_cpu_ids;
	while (!cpu_online(cpu));
	return next_cpu = cpu;
}

void wake_up_new_task(struct task_struct *p)
{
	unsigned long flags;
	struct rq *rq;

	hc_mark(HC_MARK_TASK_NEW, p, 0);
	raw_spin_lock_irqsave(&p->pi_lock, flags);
	WRITE_ONCE(p->thread_info.cpu, select_task_rq_fork());
	rq = task_rq(p);
	raw_spin_lock(&rq->__lock);
	task_fork_fair(p, rq);
	WRITE_ONCE(p->__state, TASK_RUNNING);
	activate_task(rq, p, false);
	trace_sched_wakeup_new(p);
	check_preempt_curr(rq, p);
	raw_spin_unlock(&rq->__lock);
	raw_spin_unlock_irqrestore(&p->pi_lock, flags);
}

static struct task_struct *pick_next_task(struct rq *rq, struct task_struct *prev)
{
	struct task_struct *p = pick_next_task_fair(rq, prev);

	return p ? p : rq->idle;
}

/*
 * The new task's side of a switch; prev is who ran before on this CPU. From the store to on_cpu on, prev may run elsewhere.
 */
static noinline void finish_task_switch(struct task_struct *prev)
{
	struct rq *rq = this_rq();
	struct mm_struct *mm = rq->prev_mm;
	unsigned int prev_state = READ_ONCE(prev->__state);

	rq->prev_mm = NULL;
	smp_store_release(&prev->on_cpu, 0);
	spin_unlock_irq(&rq->__lock);
	if (mm)
		mmdrop(mm);
	if (prev_state == TASK_DEAD) {
		free_thread_stack(prev->stack);
		put_task_struct(prev);
	}
}

/* The first thing a new task does. */
void schedule_tail(struct task_struct *prev)
{
	finish_task_switch(prev);
	preempt_enable();
}

/*
 * A kernel thread has no address space and stays in the one that is loaded: it needs only the kernel half. That one is
 * held until the CPU has left it.
 */
static __always_inline void context_switch(struct rq *rq, struct task_struct *prev, struct task_struct *next)
{
	if (!next->mm) {
		next->active_mm = prev->active_mm;
		if (prev->mm)
			mmgrab(prev->active_mm);
		else
			prev->active_mm = NULL;
	} else {
		/* Always, even for the same page tables: the task may have changed them on another CPU in between. */
		load_cr3(next->mm->pgd);
		if (!prev->mm) {
			rq->prev_mm = prev->active_mm;
			prev->active_mm = NULL;
		}
	}
	hc_mark(HC_MARK_SCHED_SWITCH, prev, next);
	prev = __switch_to_asm(prev, next);
	finish_task_switch(prev);
}

/* Preemption is off. preempt: the task did not ask for it, so it stays runnable whatever its state says. */
static noinline void __schedule(bool preempt)
{
	struct task_struct *prev, *next;
	unsigned long *switch_count;
	unsigned int prev_state;
	struct rq *rq;

	local_irq_disable();
	rq = this_rq();
	raw_spin_lock(&rq->__lock);
	prev = rq->curr;
	prev_state = READ_ONCE(prev->__state);
	switch_count = &prev->nivcsw;
	if (!preempt && prev->__state) {
		if ((prev->__state & TASK_INTERRUPTIBLE) && signal_pending(prev))
			WRITE_ONCE(prev->__state, TASK_RUNNING);
		else
			deactivate_task(rq, prev);
		switch_count = &prev->nvcsw;
	}
	next = pick_next_task(rq, prev);
	clear_ti_thread_flag(&prev->thread_info, TIF_NEED_RESCHED);
	if (prev == next) {
		spin_unlock_irq(&rq->__lock);
		return;
	}
	rq->nr_switches++;
	++*switch_count;
	rq->curr = next;
	next->on_cpu = 1;
	trace_sched_switch(preempt, prev, next, prev_state);
	context_switch(rq, prev, next);
}

void schedule(void)
{
	do {
		preempt_disable();
		__schedule(false);
		preempt_enable_no_resched();
	} while (need_resched());
}

void schedule_idle(void)
{
	do
		__schedule(false);
	while (need_resched());
}

/* From preempt_enable(). */
void preempt_schedule(void)
{
	if (irqs_disabled())
		return;
	do {
		preempt_disable();
		__schedule(true);
		preempt_enable_no_resched();
	} while (need_resched());
}

NOKPROBE_SYMBOL(preempt_schedule);

/* From the return path of an interrupt, with interrupts off. */
void preempt_schedule_irq(void)
{
	do {
		preempt_disable();
		local_irq_enable();
		__schedule(true);
		local_irq_disable();
		preempt_enable_no_resched();
	} while (need_resched());
}

void scheduler_tick(void)
{
	struct rq *rq = this_rq();

	raw_spin_lock(&rq->__lock);
	if (rq->curr != rq->idle)
		task_tick_fair(rq, rq->curr);
	raw_spin_unlock(&rq->__lock);
}

void yield(void)
{
	struct rq *rq;

	local_irq_disable();
	rq = this_rq();
	spin_lock(&rq->__lock);
	yield_task_fair(rq);
	spin_unlock_irq(&rq->__lock);
	schedule();
}
