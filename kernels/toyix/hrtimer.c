/*
 * hrtimer.c: timers with nanoseconds: a list for each CPU, earliest first, and the board's one-shot timer set to the first.
 * Also what is made of them: nanosleep and schedule_timeout.
 */
#include "processor.h"
#include "sched.h"
#include "syscalls.h"
#include "trace.h"

#define TIMER_PORT	0x600

struct hrtimer_cpu_base {
	spinlock_t lock;
	struct list_head active;
	struct hrtimer *running;	/* its function is being called, without the lock */
};

static DEFINE_PER_CPU(struct hrtimer_cpu_base, hrtimer_bases);

void __init hrtimers_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		INIT_LIST_HEAD(&per_cpu(hrtimer_bases, cpu).active);
}

/* The port takes 32 bits, 4.3 s. A longer wait gets an interrupt that finds nothing due and comes here again. */
static void hrtimer_reprogram(struct hrtimer_cpu_base *base)
{
	struct hrtimer *first = list_first_entry_or_null(&base->active, struct hrtimer, node);
	s64 delta;

	if (!first) {
		outl(0, TIMER_PORT);
		return;
	}
	delta = first->expires - ktime_get();
	outl(delta < 1 ? 1 : delta > 0xffffffffLL ? 0xffffffff : (u32)delta, TIMER_PORT);
}

void hrtimer_init(struct hrtimer *timer, enum hrtimer_restart (*function)(struct hrtimer *))
{
	trace_hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	*timer = (struct hrtimer){ .function = function };
}

static void enqueue_hrtimer(struct hrtimer_cpu_base *base, struct hrtimer *timer)
{
	struct hrtimer *pos;

	list_for_each_entry(pos, &base->active, node)
		if (timer->expires < pos->expires)
			break;
	list_add_tail(&timer->node, &pos->node);
	timer->queued = true;
}

static void remove_hrtimer(struct hrtimer *timer)
{
	list_del(&timer->node);
	timer->queued = false;
}

/* On this CPU, for an absolute time. */
void hrtimer_start(struct hrtimer *timer, ktime_t expires)
{
	struct hrtimer_cpu_base *base;
	unsigned long flags;

	local_irq_save(flags);
	base = this_cpu_ptr(&hrtimer_bases);
	spin_lock(&base->lock);
	timer->cpu = smp_processor_id();
	timer->expires = expires;
	trace_hrtimer_start(timer, HRTIMER_MODE_ABS, timer->queued);
	enqueue_hrtimer(base, timer);
	if (base->active.next == &timer->node)
		hrtimer_reprogram(base);
	spin_unlock(&base->lock);
	local_irq_restore(flags);
}

/*
 * Afterwards the function does not run and will not. Whether the timer was still waiting. (On another CPU its hardware is
 * left alone: the interrupt will find nothing due.)
 */
bool hrtimer_cancel(struct hrtimer *timer)
{
	struct hrtimer_cpu_base *base = per_cpu_ptr(&hrtimer_bases, timer->cpu);
	unsigned long flags;
	bool was_queued;

	spin_lock_irqsave(&base->lock, flags);
	was_queued = timer->queued;
	if (was_queued) {
		trace_hrtimer_cancel(timer);
		remove_hrtimer(timer);
	}
	if (was_queued && timer->cpu == smp_processor_id())
		hrtimer_reprogram(base);
	spin_unlock_irqrestore(&base->lock, flags);
	while (READ_ONCE(base->running) == timer)
		cpu_relax();
	return was_queued;
}

static noinline void __run_hrtimer(struct hrtimer_cpu_base *base, struct hrtimer *timer)
{
	enum hrtimer_restart restart;
	ktime_t now = ktime_get();

	remove_hrtimer(timer);
	base->running = timer;
	spin_unlock(&base->lock);
	trace_hrtimer_expire_entry(timer, &now);
	restart = timer->function(timer);
	trace_hrtimer_expire_exit(timer);
	spin_lock(&base->lock);
	if (restart == HRTIMER_RESTART)
		enqueue_hrtimer(base, timer);
	smp_store_release(&base->running, NULL);
}

void hrtimer_interrupt(struct pt_regs *regs)
{
	struct hrtimer_cpu_base *base = this_cpu_ptr(&hrtimer_bases);
	struct hrtimer *timer;

	spin_lock(&base->lock);
	while ((timer = list_first_entry_or_null(&base->active, struct hrtimer, node)) && timer->expires <= ktime_get())
		__run_hrtimer(base, timer);
	hrtimer_reprogram(base);
	spin_unlock(&base->lock);
}

/* A timer that wakes its task and then forgets it, so that the task sees that the time is over. */
struct hrtimer_sleeper {
	struct hrtimer timer;
	struct task_struct *task;
};

static enum hrtimer_restart hrtimer_wakeup(struct hrtimer *timer)
{
	struct hrtimer_sleeper *t = container_of(timer, struct hrtimer_sleeper, timer);
	struct task_struct *task = t->task;

	t->task = NULL;
	if (task)
		wake_up_process(task);
	return HRTIMER_NORESTART;
}

/* Whether the whole time was slept. */
static noinline bool do_nanosleep(struct hrtimer_sleeper *t, ktime_t expires)
{
	do {
		set_current_state(TASK_INTERRUPTIBLE);
		hrtimer_start(&t->timer, expires);
		if (READ_ONCE(t->task))
			schedule();
		hrtimer_cancel(&t->timer);
	} while (READ_ONCE(t->task) && !signal_pending(current));
	__set_current_state(TASK_RUNNING);
	return !t->task;
}

long hrtimer_nanosleep(ktime_t rqtp, struct __kernel_timespec __user *rmtp)
{
	ktime_t expires = ktime_get() + rqtp;
	struct hrtimer_sleeper t = { .task = current };

	hrtimer_init(&t.timer, hrtimer_wakeup);
	if (do_nanosleep(&t, expires))
		return 0;
	if (rmtp) {
		ktime_t left = max(expires - ktime_get(), (ktime_t)0);
		struct __kernel_timespec rmt = { left / NSEC_PER_SEC, left % NSEC_PER_SEC };

		if (copy_to_user(rmtp, &rmt, sizeof(rmt)))
			return -EFAULT;
	}
	return -EINTR;
}

/* Sleeps for up to timeout ticks in the state that the caller has set; returns how many were left. */
long schedule_timeout(long timeout)
{
	struct hrtimer_sleeper t = { .task = current };
	unsigned long expire = jiffies + timeout;

	if (timeout == MAX_SCHEDULE_TIMEOUT) {
		schedule();
		return timeout;
	}
	hrtimer_init(&t.timer, hrtimer_wakeup);
	hrtimer_start(&t.timer, ktime_get() + timeout * TICK_NSEC);
	schedule();
	hrtimer_cancel(&t.timer);
	timeout = expire - jiffies;
	return timeout < 0 ? 0 : timeout;
}

static bool timespec_valid(const struct __kernel_timespec *ts)
{
	return ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < NSEC_PER_SEC && ts->tv_sec < 0x100000000LL;
}

SYSCALL_DEFINE2(nanosleep, struct __kernel_timespec __user *, rqtp, struct __kernel_timespec __user *, rmtp)
{
	struct __kernel_timespec tu;

	if (copy_from_user(&tu, rqtp, sizeof(tu)))
		return -EFAULT;
	if (!timespec_valid(&tu))
		return -EINVAL;
	return hrtimer_nanosleep(tu.tv_sec * NSEC_PER_SEC + tu.tv_nsec, rmtp);
}

#define TIMER_ABSTIME	1

SYSCALL_DEFINE4(clock_nanosleep, const clockid_t, which_clock, int, flags, const struct __kernel_timespec __user *, rqtp,
		struct __kernel_timespec __user *, rmtp)
{
	struct __kernel_timespec tu;
	ktime_t t;

	if (copy_from_user(&tu, rqtp, sizeof(tu)))
		return -EFAULT;
	if (!timespec_valid(&tu) || which_clock > 1)
		return -EINVAL;
	t = tu.tv_sec * NSEC_PER_SEC + tu.tv_nsec;
	if (flags & TIMER_ABSTIME)
		t = max(t - ktime_get(), (ktime_t)0);
	return hrtimer_nanosleep(t, rmtp);
}
