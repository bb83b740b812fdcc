/*
 * serial.c: the serial line, which is the console. Output goes out at once. Input is collected by the interrupt into lines:
 * a reader gets whole ones. There is no echo; Ctrl-C and Ctrl-D act, everything else is data.
 */
#include "printk.h"
#include "processor.h"
#include "trace.h"
#include "wait.h"

#define COM1		0x3f8
#define COM1_LSR	0x3fd
#define LSR_DATA_READY	1
#define SERIAL_IRQ	4	/* a PC's number for the first serial port, which tools print */

#define CTRL_C		3
#define CTRL_D		4	/* stays in the buffer as an end of line that is not delivered: read() returns what is there */

static char input[4096];
static unsigned int input_head, input_tail;	/* count up for ever; the index is modulo the size */
static unsigned int input_lines;
static DEFINE_SPINLOCK(input_lock);
static DECLARE_WAIT_QUEUE_HEAD(input_wait);

void console_write(const char *s, size_t count)
{
	while (count--)
		outb(*s++, COM1);
}

static bool ends_line(char c) { return c == '\n' || c == CTRL_D; }

/* Ctrl-C is for the foreground: from init always down to the youngest child, which is what was started last. */
static void interrupt_foreground(void)
{
	struct task_struct *p = init_pid1;

	spin_lock(&tasklist_lock);
	while (p && !list_empty(&p->children) && !list_last_entry(&p->children, struct task_struct, sibling)->exit_state)
		p = list_last_entry(&p->children, struct task_struct, sibling);
	if (p && p != init_pid1)
		send_sig(SIGINT, p);
	spin_unlock(&tasklist_lock);
}

static void receive(char c)
{
	if (c == '\r')
		c = '\n';
	spin_lock(&input_lock);
	if (input_head - input_tail < sizeof(input)) {
		input[input_head++ % sizeof(input)] = c;
		if (ends_line(c))
			input_lines++;
	}
	spin_unlock(&input_lock);
}

DEFINE_IDTENTRY_SYSVEC(sysvec_serial_interrupt)
{
	trace_irq_handler_entry(SERIAL_IRQ, "ttyS0");
	while (inb(COM1_LSR) & LSR_DATA_READY) {
		char c = inb(COM1);

		if (c == CTRL_C)
			interrupt_foreground();
		else
			receive(c);
	}
	if (input_lines)
		wake_up_interruptible(&input_wait);
	trace_irq_handler_exit(SERIAL_IRQ, "ttyS0", 1);
}

ssize_t console_read(char *buf, size_t count)
{
	size_t n = 0;
	long err;

	for (;;) {
		err = wait_event_interruptible(input_wait, READ_ONCE(input_lines));
		if (err)
			return err;
		spin_lock_irq(&input_lock);
		/* Another reader may have taken the line between the wake-up and the lock. */
		if (input_lines)
			break;
		spin_unlock_irq(&input_lock);
	}
	while (n < count && input_tail != input_head) {
		char c = input[input_tail++ % sizeof(input)];

		if (ends_line(c))
			input_lines--;
		if (c != CTRL_D)
			buf[n++] = c;
		if (ends_line(c))
			break;
	}
	spin_unlock_irq(&input_lock);
	return n;
}
