/*
 * fair.c: who runs next. Each task's vruntime is the time it has run; the one with the least is next. A task that slept is
 * put a little before the others, not where its old vruntime would have it, or it would hold the CPU to catch up.
 */
#include "rq.h"
#include "sched.h"
#include "trace.h"

#define SCHED_LATENCY		(6 * NSEC_PER_MSEC)	/* within this time everyone shall run once */
#define SCHED_MIN_GRANULARITY	(3 * NSEC_PER_MSEC / 4)
#define WAKEUP_GRANULARITY	NSEC_PER_MSEC

static struct task_struct *task_of(struct sched_entity *se) { return container_of(se, struct task_struct, se); }

void init_cfs_rq(struct cfs_rq *cfs_rq)
{
	INIT_LIST_HEAD(&cfs_rq->tasks_timeline);
}

/* Signed difference: vruntime may wrap. */
static bool entity_before(struct sched_entity *a, struct sched_entity *b)
{
	return (s64)(a->vruntime - b->vruntime) < 0;
}

static void update_min_vruntime(struct cfs_rq *cfs_rq)
{
	struct sched_entity *first = list_first_entry_or_null(&cfs_rq->tasks_timeline, struct sched_entity, run_node);
	struct sched_entity *least = cfs_rq->curr;

	if (!least || (first && entity_before(first, least)))
		least = first;
	if (least && (s64)(least->vruntime - cfs_rq->min_vruntime) > 0)
		cfs_rq->min_vruntime = least->vruntime;
}

static void update_curr(struct cfs_rq *cfs_rq)
{
	struct sched_entity *curr = cfs_rq->curr;
	u64 now = ktime_get_ns(), delta_exec;

	if (!curr)
		return;
	delta_exec = now - curr->exec_start;
	curr->exec_start = now;
	curr->sum_exec_runtime += delta_exec;
	curr->vruntime += delta_exec;
	trace_sched_stat_runtime(task_of(curr), delta_exec, curr->vruntime);
	update_min_vruntime(cfs_rq);
}

static void __enqueue_entity(struct cfs_rq *cfs_rq, struct sched_entity *se)
{
	struct sched_entity *pos;

	list_for_each_entry(pos, &cfs_rq->tasks_timeline, run_node)
		if (entity_before(se, pos))
			break;
	list_add_tail(&se->run_node, &pos->run_node);
}

static void place_entity(struct cfs_rq *cfs_rq, struct sched_entity *se)
{
	u64 vruntime = cfs_rq->min_vruntime - SCHED_LATENCY / 2;

	if ((s64)(se->vruntime - vruntime) < 0)
		se->vruntime = vruntime;
}

void enqueue_task_fair(struct rq *rq, struct task_struct *p, bool wakeup)
{
	struct cfs_rq *cfs_rq = &rq->cfs;
	struct sched_entity *se = &p->se;

	update_curr(cfs_rq);
	if (wakeup)
		place_entity(cfs_rq, se);
	se->cfs_rq = cfs_rq;
	se->on_rq = 1;
	cfs_rq->nr_running++;
	__enqueue_entity(cfs_rq, se);
}

void dequeue_task_fair(struct rq *rq, struct task_struct *p)
{
	struct cfs_rq *cfs_rq = &rq->cfs;
	struct sched_entity *se = &p->se;

	update_curr(cfs_rq);
	if (se != cfs_rq->curr)
		list_del(&se->run_node);
	se->on_rq = 0;
	cfs_rq->nr_running--;
}

/* The running task goes back into the list if it can still run, then the first is taken. NULL: nobody wants the CPU. */
struct task_struct *pick_next_task_fair(struct rq *rq, struct task_struct *prev)
{
	struct cfs_rq *cfs_rq = &rq->cfs;
	struct sched_entity *se;

	update_curr(cfs_rq);
	if (cfs_rq->curr && cfs_rq->curr->on_rq)
		__enqueue_entity(cfs_rq, cfs_rq->curr);
	cfs_rq->curr = NULL;
	se = list_first_entry_or_null(&cfs_rq->tasks_timeline, struct sched_entity, run_node);
	if (!se)
		return NULL;
	list_del(&se->run_node);
	cfs_rq->curr = se;
	se->exec_start = ktime_get_ns();
	se->prev_sum_exec_runtime = se->sum_exec_runtime;
	return task_of(se);
}

void task_tick_fair(struct rq *rq, struct task_struct *curr)
{
	struct cfs_rq *cfs_rq = &rq->cfs;
	u64 ideal_runtime, ran;

	update_curr(cfs_rq);
	if (cfs_rq->nr_running < 2)
		return;
	ideal_runtime = max((u64)SCHED_LATENCY / cfs_rq->nr_running, (u64)SCHED_MIN_GRANULARITY);
	ran = curr->se.sum_exec_runtime - curr->se.prev_sum_exec_runtime;
	if (ran > ideal_runtime)
		resched_curr(rq);
}

/* A child starts where its queue is, so that forking gains no time. */
void task_fork_fair(struct task_struct *p, struct rq *rq)
{
	p->se.vruntime = rq->cfs.min_vruntime;
}

/* Behind everyone who waits. */
void yield_task_fair(struct rq *rq)
{
	struct cfs_rq *cfs_rq = &rq->cfs;
	struct sched_entity *last;

	update_curr(cfs_rq);
	if (!cfs_rq->curr || list_empty(&cfs_rq->tasks_timeline))
		return;
	last = list_last_entry(&cfs_rq->tasks_timeline, struct sched_entity, run_node);
	if (entity_before(cfs_rq->curr, last))
		cfs_rq->curr->vruntime = last->vruntime;
}

/* Should p, just woken, push out who is running? Only if it is behind by more than the price of a switch. */
bool wakeup_preempt_entity(struct rq *rq, struct task_struct *p)
{
	if (!rq->cfs.curr)
		return true;
	update_curr(&rq->cfs);
	return (s64)(rq->cfs.curr->vruntime - p->se.vruntime) > WAKEUP_GRANULARITY;
}

/* Where it ran last, unless that CPU is busy and another has nothing to do. */
int select_task_rq_fair(struct task_struct *p, int prev_cpu)
{
	int cpu;

	if (idle_cpu(prev_cpu))
		return prev_cpu;
	for_each_online_cpu(cpu)
		if (idle_cpu(cpu))
			return cpu;
	return prev_cpu;
}
