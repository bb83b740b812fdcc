/* workqueue.c: a kernel thread that does what interrupts leave to it. One worker, first come, first served. */
#include "sched.h"
#include "trace.h"
#include "workqueue.h"

static LIST_HEAD(worklist);
static DEFINE_SPINLOCK(pool_lock);
static struct task_struct *worker;

bool schedule_work(struct work_struct *work)
{
	unsigned long flags;
	bool queued;

	spin_lock_irqsave(&pool_lock, flags);
	queued = list_empty(&work->entry);
	if (queued)
		list_add_tail(&work->entry, &worklist);
	spin_unlock_irqrestore(&pool_lock, flags);
	if (worker)
		wake_up_process(worker);
	return queued;
}

static struct work_struct *next_work(void)
{
	struct work_struct *work;

	spin_lock_irq(&pool_lock);
	work = list_first_entry_or_null(&worklist, struct work_struct, entry);
	/* Off the list before it runs: what is queued meanwhile is another run. */
	if (work)
		list_del_init(&work->entry);
	spin_unlock_irq(&pool_lock);
	return work;
}

static noinline void process_one_work(struct work_struct *work)
{
	void (*func)(struct work_struct *work) = work->func;

	trace_workqueue_execute_start(work);
	func(work);
	/* The work may be gone by now. */
	trace_workqueue_execute_end(work, func);
}

static int worker_thread(void *unused)
{
	struct work_struct *work;

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		work = next_work();
		if (!work) {
			schedule();
			continue;
		}
		__set_current_state(TASK_RUNNING);
		process_one_work(work);
	}
	return 0;
}

/* Named as Linux names workers that are bound to no CPU. */
void workqueue_init(void)
{
	worker = kthread_run(worker_thread, NULL, "kworker/u8:0");
}
