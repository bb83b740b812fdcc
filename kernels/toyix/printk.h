/* printk.h: messages, formatting, and the ways to stop: BUG, WARN, panic. */
#ifndef _PRINTK_H
#define _PRINTK_H

#include "types.h"
#include "compiler.h"

struct pt_regs;

int printk(const char *fmt, ...) __printf(1, 2);
int vprintk(const char *fmt, va_list args);
int vsnprintf(char *buf, size_t size, const char *fmt, va_list args);
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
int scnprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);

#define pr_info(...)	printk(__VA_ARGS__)
#define pr_notice(...)	printk(__VA_ARGS__)
#define pr_warn(...)	printk(__VA_ARGS__)
#define pr_err(...)	printk(__VA_ARGS__)
#define pr_alert(...)	printk(__VA_ARGS__)

/* Straight to the serial line, nothing added. */
void console_write(const char *s, size_t count);
/* Blocks until a line has come in; returns its length, or -ERESTARTSYS. buf is kernel memory. */
ssize_t console_read(char *buf, size_t count);

void panic(const char *fmt, ...) __printf(1, 2) __noreturn;
void die(const char *str, struct pt_regs *regs, long err);
void show_regs(struct pt_regs *regs);
void dump_stack(void);
extern int oops_in_progress;

/*
 * A BUG is one ud2 instruction; what it means is looked up in __bug_table by address, so the fast path pays two bytes. As
 * in Linux the entry is 12 bytes and holds distances from itself, not addresses.
 */
struct bug_entry {
	int bug_addr_disp;	/* 0: from this field to the ud2 */
	int file_disp;		/* 4: from this field to the file name */
	u16 line;		/* 8 */
	u16 flags;		/* 10 */
};
#define BUGFLAG_WARNING	1

enum bug_trap_type { BUG_TRAP_TYPE_NONE, BUG_TRAP_TYPE_WARN, BUG_TRAP_TYPE_BUG };
int report_bug(unsigned long bug_addr, struct pt_regs *regs);

#define _BUG_FLAGS(flags)						\
	__asm__ __volatile__("1:	ud2\n"				\
		"	.pushsection __bug_table,\"aw\"\n"		\
		"2:	.long 1b - 2b\n"				\
		"3:	.long %c0 - 3b\n"				\
		"	.word %c1, %c2\n"				\
		"	.popsection"					\
		: : "i"(__FILE__), "i"(__LINE__), "i"(flags))

#define BUG()	do { _BUG_FLAGS(0); __builtin_unreachable(); } while (0)
#define BUG_ON(cond)	do { if (unlikely(cond)) BUG(); } while (0)
#define WARN_ON(cond)	({						\
	bool __w = !!(cond);						\
	if (unlikely(__w))						\
		_BUG_FLAGS(BUGFLAG_WARNING);				\
	__w;								\
})
#define WARN_ON_ONCE(cond)	({					\
	static bool __warned;						\
	bool __c = !!(cond);						\
	if (unlikely(__c && !__warned)) {				\
		__warned = true;					\
		_BUG_FLAGS(BUGFLAG_WARNING);				\
	}								\
	__c;								\
})

#endif
