/*
 * spin: keeps a CPU busy in user mode, for some milliseconds or (-n) for a number of turns. It makes no system call until
 * it ends.
 */
#include "libc.h"

/* The machine's clock, in nanoseconds. */
static unsigned long rdtsc(void)
{
	unsigned int low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return (unsigned long)high << 32 | low;
}

__attribute__((noinline)) void spin_turns(unsigned long turns)
{
	while (turns--)
		asm volatile("" : "+r"(turns));
}

__attribute__((noinline)) void spin_until(unsigned long end)
{
	while (rdtsc() < end)
		spin_turns(50);
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
		spin_until(rdtsc() + number * 1000000UL);
	return 0;
}
