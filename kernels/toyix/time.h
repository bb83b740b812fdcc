/* time.h: the clock (ktime_get), jiffies, and high-resolution timers (hrtimer.c, tick.c). */
#ifndef _TIME_H
#define _TIME_H

#include "types.h"
#include "list.h"
#include "ptrace.h"

#define HZ		250
#define NSEC_PER_SEC	1000000000L
#define NSEC_PER_MSEC	1000000L
#define NSEC_PER_USEC	1000L
#define TICK_NSEC	(NSEC_PER_SEC / HZ)
#define MAX_SCHEDULE_TIMEOUT 0x7fffffffffffffffL

struct timespec64 {
	time64_t tv_sec;
	long tv_nsec;
};
/* What user programs pass; the same layout on a 64-bit machine. */
struct __kernel_timespec {
	long long tv_sec;
	long long tv_nsec;
};

struct __kernel_old_timeval {
	long tv_sec;
	long tv_usec;
};

extern volatile unsigned long jiffies;
extern u64 jiffies_64;
#define time_after_eq(a, b)	((long)((a) - (b)) >= 0)

ktime_t ktime_get(void);
static inline u64 ktime_get_ns(void) { return ktime_get(); }

#define CLOCK_MONOTONIC		1

/* Every timer here is set for an absolute time. */
enum hrtimer_mode { HRTIMER_MODE_ABS };
enum hrtimer_restart { HRTIMER_NORESTART, HRTIMER_RESTART };

struct hrtimer {
	struct list_head node;		/* in its CPU's list, earliest first */
	ktime_t expires;
	enum hrtimer_restart (*function)(struct hrtimer *timer);
	int cpu;
	bool queued;
};

void hrtimer_init(struct hrtimer *timer, enum hrtimer_restart (*function)(struct hrtimer *));
void hrtimer_start(struct hrtimer *timer, ktime_t expires);
bool hrtimer_cancel(struct hrtimer *timer);
void hrtimers_init(void);
void hrtimer_interrupt(struct pt_regs *regs);
long hrtimer_nanosleep(ktime_t rqtp, struct __kernel_timespec *rmtp);

void tick_setup(void);
void tick_nohz_idle_enter(void);
void tick_nohz_idle_exit(void);
void tick_do_update_jiffies64(ktime_t now);
void calc_global_load(void);
extern unsigned long avenrun[3];


#endif
