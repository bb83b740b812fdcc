/* rq.h: a CPU's run queue, for the scheduler's own files. (Linux: kernel/sched/sched.h) */
#ifndef _RQ_H
#define _RQ_H

#include "sched.h"

/* The runnable tasks, the one that has run least (by vruntime) first. The running one is counted but not in the list. */
struct cfs_rq {
	unsigned int nr_running;
	u64 min_vruntime;		/* only grows; newcomers are placed relative to it */
	struct list_head tasks_timeline;
	struct sched_entity *curr;
};

struct rq {
	spinlock_t __lock;
	unsigned int nr_running;
	u64 nr_switches;
	struct cfs_rq cfs;
	struct task_struct *curr;
	struct task_struct *idle;
	struct mm_struct *prev_mm;	/* to be dropped once we are off its page tables */
	int cpu;
};

DECLARE_PER_CPU(struct rq, runqueues);
#define cpu_rq(cpu)	per_cpu_ptr(&runqueues, cpu)
#define this_rq()	this_cpu_ptr(&runqueues)
#define task_rq(p)	cpu_rq(task_cpu(p))

void init_cfs_rq(struct cfs_rq *cfs_rq);
void enqueue_task_fair(struct rq *rq, struct task_struct *p, bool wakeup);
void dequeue_task_fair(struct rq *rq, struct task_struct *p);
struct task_struct *pick_next_task_fair(struct rq *rq, struct task_struct *prev);
void task_tick_fair(struct rq *rq, struct task_struct *curr);
void task_fork_fair(struct task_struct *p, struct rq *rq);
void yield_task_fair(struct rq *rq);
bool wakeup_preempt_entity(struct rq *rq, struct task_struct *p);
int select_task_rq_fair(struct task_struct *p, int prev_cpu);
void resched_curr(struct rq *rq);

#endif
