/* interrupt.h: who handles a device's interrupt. There is one device, so only its name is left of Linux's struct. */
#ifndef _INTERRUPT_H
#define _INTERRUPT_H

struct irqaction {
	const char *name;
};

#define IRQ_HANDLED	1

#endif
