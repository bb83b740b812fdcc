/* loadavg.c: how many tasks want a CPU, averaged over 1, 5 and 15 minutes with exponentially falling weight. */
#include "sched.h"

#define FSHIFT		11			/* fixed point: 11 bits after the point */
#define FIXED_1		(1UL << FSHIFT)
#define LOAD_FREQ	(5 * HZ + 1)		/* ticks between samples */

unsigned long avenrun[3];
/* FIXED_1 / exp(5 s / 1, 5, 15 min) */
static const unsigned long exp_weight[3] = { 1884, 2014, 2037 };

static unsigned long calc_load(unsigned long load, unsigned long exp, unsigned long active)
{
	unsigned long newload = load * exp + active * (FIXED_1 - exp);

	if (active >= load)
		newload += FIXED_1 - 1;
	return newload / FIXED_1;
}

void calc_global_load(void)
{
	static unsigned long calc_load_update = LOAD_FREQ;
	unsigned long active = 0;

	/* Samples that idle CPUs slept through count as nobody running; after so many, nothing of the past is left. */
	if (time_after_eq(jiffies, calc_load_update + 2000 * LOAD_FREQ)) {
		calc_load_update = jiffies;
		avenrun[0] = avenrun[1] = avenrun[2] = 0;
	}
	while (time_after_eq(jiffies, calc_load_update)) {
		bool latest = !time_after_eq(jiffies, calc_load_update + LOAD_FREQ);

		active = latest ? nr_running() * FIXED_1 : 0;
		for (int i = 0; i < 3; i++)
			avenrun[i] = calc_load(avenrun[i], exp_weight[i], active);
		calc_load_update += LOAD_FREQ;
	}
}
