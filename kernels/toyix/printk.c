/* printk.c: kernel messages, each line with the time since power-on. */
#include "printk.h"
#include "sched.h"

static DEFINE_SPINLOCK(console_lock);

static void print_line_start(void)
{
	char buf[32];
	u64 us = ktime_get_ns() / 1000;

	console_write(buf, scnprintf(buf, sizeof(buf), "[%5llu.%06llu] ", us / 1000000, us % 1000000));
}

/* A dying kernel prints whether or not someone holds the lock; it may be the one who died. */
int vprintk(const char *fmt, va_list args)
{
	static bool line_open;
	char buf[256];
	unsigned long flags;
	int len = vsnprintf(buf, sizeof(buf), fmt, args);
	bool locked = false;

	if (len >= (int)sizeof(buf))
		len = sizeof(buf) - 1;
	local_irq_save(flags);
	preempt_disable();
	if (!oops_in_progress) {
		arch_spin_lock(&console_lock);
		locked = true;
	}
	if (!line_open)
		print_line_start();
	console_write(buf, len);
	line_open = len && buf[len - 1] != '\n';
	if (locked)
		arch_spin_unlock(&console_lock);
	preempt_enable_no_resched();
	local_irq_restore(flags);
	return len;
}

int printk(const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vprintk(fmt, args);
	va_end(args);
	return len;
}
