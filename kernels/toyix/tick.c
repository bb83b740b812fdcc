/* tick.c: the clock, and the tick: an interrupt every 4 ms on each CPU that has something to run. */
#include "hypercalls.h"
#include "processor.h"
#include "sched.h"
#include "syscalls.h"
#include "trace.h"

u64 jiffies_64;
/* The same 8 bytes under the name that most code uses. */
extern volatile unsigned long jiffies __attribute__((__alias__("jiffies_64")));

/* On while somebody samples by the clock. Linux has a timer for each such event; here each tick is a sample. */
struct static_key perf_swevent_enabled = { .enabled = ATOMIC_INIT(0) };

static DEFINE_PER_CPU(struct hrtimer, tick_cpu_sched);
static DEFINE_PER_CPU(struct pt_regs *, irq_regs);

ktime_t ktime_get(void)
{
	return hypercall(HC_CLOCK, 0, 0, 0);
}

/* The clock counts from power-on, and so do ticks: an idle CPU that slept through a hundred only has to divide. */
void tick_do_update_jiffies64(ktime_t now)
{
	WRITE_ONCE(jiffies_64, now / TICK_NSEC);
	calc_global_load();
}

static void account_process_tick(struct task_struct *p, bool user_tick)
{
	if (user_tick)
		p->utime += TICK_NSEC;
	else if (!(p->flags & PF_IDLE))
		p->stime += TICK_NSEC;
}

static noinline void update_process_times(bool user_tick)
{
	account_process_tick(current, user_tick);
	scheduler_tick();
}

static ktime_t next_tick(ktime_t now) { return (now / TICK_NSEC + 1) * TICK_NSEC; }

static enum hrtimer_restart tick_sched_timer(struct hrtimer *timer)
{
	ktime_t now = ktime_get();

	tick_do_update_jiffies64(now);
	update_process_times(user_mode(this_cpu_read(irq_regs)));
	if (static_key_false(&perf_swevent_enabled))
		perf_swevent_hrtimer(this_cpu_read(irq_regs));
	timer->expires = next_tick(now);
	return HRTIMER_RESTART;
}

DEFINE_IDTENTRY_SYSVEC(sysvec_apic_timer_interrupt)
{
	trace_local_timer_entry(LOCAL_TIMER_VECTOR);
	this_cpu_write(irq_regs, regs);
	hrtimer_interrupt(regs);
	trace_local_timer_exit(LOCAL_TIMER_VECTOR);
}

/* Each CPU for itself, with interrupts off. */
void tick_setup(void)
{
	struct hrtimer *ts = this_cpu_ptr(&tick_cpu_sched);

	hrtimer_init(ts, tick_sched_timer);
	hrtimer_start(ts, next_tick(ktime_get()));
}

/* An idle CPU needs no tick: only its next timer wakes it, however far that is. */
void tick_nohz_idle_enter(void)
{
	hrtimer_cancel(this_cpu_ptr(&tick_cpu_sched));
}

void tick_nohz_idle_exit(void)
{
	ktime_t now = ktime_get();

	tick_do_update_jiffies64(now);
	hrtimer_start(this_cpu_ptr(&tick_cpu_sched), next_tick(now));
}

static struct __kernel_timespec ns_to_timespec(ktime_t ns)
{
	return (struct __kernel_timespec){ ns / NSEC_PER_SEC, ns % NSEC_PER_SEC };
}

/* Real time and monotonic time are the same: the time since power-on. */
SYSCALL_DEFINE2(clock_gettime, const clockid_t, which_clock, struct __kernel_timespec __user *, tp)
{
	struct __kernel_timespec ts = ns_to_timespec(ktime_get());

	return copy_to_user(tp, &ts, sizeof(ts)) ? -EFAULT : 0;
}

SYSCALL_DEFINE2(gettimeofday, struct __kernel_old_timeval __user *, tv, struct timezone __user *, tz)
{
	ktime_t now = ktime_get();
	struct __kernel_old_timeval kernel_tv = { now / NSEC_PER_SEC, now % NSEC_PER_SEC / NSEC_PER_USEC };

	return tv && copy_to_user(tv, &kernel_tv, sizeof(kernel_tv)) ? -EFAULT : 0;
}
