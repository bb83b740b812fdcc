/*
 * serial.c: the serial line, which is the console. Output goes out at once. Input takes two steps, as on Linux: the interrupt
 * only empties the port (the flip buffer), and a kworker makes lines of the bytes and wakes the readers. There is no echo;
 * Ctrl-C and Ctrl-D act, everything else is data.
 */
#include "interrupt.h"
#include "printk.h"
#include "processor.h"
#include "trace.h"
#include "wait.h"
#include "workqueue.h"

#define COM1		0x3f8
#define COM1_LSR	0x3fd
#define LSR_DATA_READY	1
#define SERIAL_IRQ	4	/* a PC's number for the first serial port, which tools print */

#define CTRL_C		3
#define CTRL_D		4	/* stays in the buffer as an end of line that is not delivered: read() returns what is there */

/* head and tail count up for ever; the index is modulo the size. */
struct ring {
	char data[4096];
	unsigned int head, tail;
};

static struct ring flip, input;
static unsigned int input_lines;
static DEFINE_SPINLOCK(flip_lock);
static DEFINE_SPINLOCK(input_lock);
static DECLARE_WAIT_QUEUE_HEAD(input_wait);

/* Full: the byte is lost. */
static bool ring_put(struct ring *r, char c)
{
	if (r->head - r->tail == sizeof(r->data))
		return false;
	r->data[r->head++ % sizeof(r->data)] = c;
	return true;
}

static bool ring_get(struct ring *r, char *c)
{
	if (r->head == r->tail)
		return false;
	*c = r->data[r->tail++ % sizeof(r->data)];
	return true;
}

void console_write(const char *s, size_t count)
{
	while (count--)
		outb(*s++, COM1);
}

static bool ends_line(char c) { return c == '\n' || c == CTRL_D; }

/* Ctrl-C is for everybody at the console: a shell ignores it, and has what it starts in the background ignore it. */
static void interrupt_foreground(void)
{
	struct task_struct *p;

	spin_lock_irq(&tasklist_lock);
	for_each_process(p)
		if (!(p->flags & PF_KTHREAD) && p != init_pid1)
			do_send_sig_info(SIGINT, SEND_SIG_PRIV, p, PIDTYPE_TGID);
	spin_unlock_irq(&tasklist_lock);
}

static noinline void n_tty_receive_char(char c)
{
	if (c == CTRL_C) {
		interrupt_foreground();
		return;
	}
	if (c == '\r')
		c = '\n';
	spin_lock(&input_lock);
	if (ring_put(&input, c) && ends_line(c))
		input_lines++;
	spin_unlock(&input_lock);
}

static bool take_flip(char *c)
{
	bool ret;

	spin_lock_irq(&flip_lock);
	ret = ring_get(&flip, c);
	spin_unlock_irq(&flip_lock);
	return ret;
}

static void flush_to_ldisc(struct work_struct *work)
{
	char c;

	while (take_flip(&c))
		n_tty_receive_char(c);
	if (READ_ONCE(input_lines))
		wake_up_interruptible(&input_wait);
}

static DECLARE_WORK(flip_work, flush_to_ldisc);
static const struct irqaction serial_action = { .name = "ttyS0" };

DEFINE_IDTENTRY_SYSVEC(sysvec_serial_interrupt)
{
	trace_irq_handler_entry(SERIAL_IRQ, &serial_action);
	spin_lock(&flip_lock);
	while (inb(COM1_LSR) & LSR_DATA_READY)
		ring_put(&flip, inb(COM1));
	spin_unlock(&flip_lock);
	schedule_work(&flip_work);
	trace_irq_handler_exit(SERIAL_IRQ, &serial_action, IRQ_HANDLED);
}

ssize_t console_read(char *buf, size_t count)
{
	size_t n = 0;
	long err;
	char c;

	for (;;) {
		err = wait_event_interruptible(input_wait, READ_ONCE(input_lines));
		if (err)
			return err;
		spin_lock(&input_lock);
		/* Another reader may have taken the line between the wake-up and the lock. */
		if (input_lines)
			break;
		spin_unlock(&input_lock);
	}
	while (n < count && ring_get(&input, &c)) {
		if (ends_line(c))
			input_lines--;
		if (c != CTRL_D)
			buf[n++] = c;
		if (ends_line(c))
			break;
	}
	spin_unlock(&input_lock);
	return n;
}
