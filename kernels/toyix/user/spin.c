/*
 * spin: keeps a CPU busy in user mode, for some milliseconds or (-n) for a number of turns. It asks for the time only a
 * few times: between two system calls lies as much computing as it can foresee.
 */
#include "libc.h"

#define TRIAL_TURNS 1000

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * NSEC_PER_SEC + time.tv_nsec;
}

__attribute__((noinline)) void spin_turns(unsigned long turns)
{
	while (turns--)
		asm volatile("" : "+r"(turns));
}

__attribute__((noinline)) void spin_for(long nanoseconds)
{
	long begin = now(), left, trial;

	spin_turns(TRIAL_TURNS);
	trial = now() - begin;
	while ((left = begin + nanoseconds - now()) > 0)
		spin_turns(left * TRIAL_TURNS / trial + 1);
}

int main(int argc, char *argv[])
{
	int by_turns = argc == 3 && !strcmp(argv[1], "-n");
	const char *end = "?";
	long number = argc == 2 + by_turns ? strtonum(argv[argc - 1], &end) : -1;

	if (number < 0 || *end) {
		dprintf(2, "usage: spin milliseconds\n       spin -n turns\n");
		return 2;
	}
	if (by_turns)
		spin_turns(number);
	else
		spin_for(number * 1000000L);
	return 0;
}
