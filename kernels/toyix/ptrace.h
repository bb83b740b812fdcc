/* ptrace.h: struct pt_regs, what every entry stub leaves on the kernel stack. The tracing tools rely on these offsets. */
#ifndef _PTRACE_H
#define _PTRACE_H

#include "types.h"
#include "compiler.h"

struct pt_regs {
	unsigned long r15;	/*   0: saved by the callee in C, so last to be pushed */
	unsigned long r14;	/*   8 */
	unsigned long r13;	/*  16 */
	unsigned long r12;	/*  24 */
	unsigned long bp;	/*  32 */
	unsigned long bx;	/*  40 */
	unsigned long r11;	/*  48: syscall keeps RFLAGS here */
	unsigned long r10;	/*  56: 4th system call argument */
	unsigned long r9;	/*  64 */
	unsigned long r8;	/*  72 */
	unsigned long ax;	/*  80: return value */
	unsigned long cx;	/*  88: syscall keeps RIP here */
	unsigned long dx;	/*  96 */
	unsigned long si;	/* 104 */
	unsigned long di;	/* 112 */
	unsigned long orig_ax;	/* 120: system call number, -1 otherwise */
	unsigned long ip;	/* 128: from here on pushed by the CPU */
	unsigned long cs;	/* 136 */
	unsigned long flags;	/* 144 */
	unsigned long sp;	/* 152 */
	unsigned long ss;	/* 160 */
};

_Static_assert(sizeof(struct pt_regs) == 168, "pt_regs is 21 words");
_Static_assert(offsetof(struct pt_regs, orig_ax) == 120, "entry_64.S counts on this");

static __always_inline bool user_mode(const struct pt_regs *regs) { return regs->cs & 3; }

#endif
