/* seccomp.h: a task's own rules for its system calls (seccomp.c). */
#ifndef _SECCOMP_H
#define _SECCOMP_H

#include "types.h"

#define SECCOMP_MODE_DISABLED	0
#define SECCOMP_MODE_STRICT	1	/* read, write, exit */
#define SECCOMP_MODE_FILTER	2	/* a program decides */
#define SECCOMP_MODE_DEAD	3	/* it was killed: no system call any more, whatever happens */

/* What a filter returns: an action above, its data in the low half. The lower as a signed number, the stronger. */
#define SECCOMP_RET_KILL_PROCESS 0x80000000U
#define SECCOMP_RET_KILL_THREAD	0x00000000U
#define SECCOMP_RET_TRAP	0x00030000U
#define SECCOMP_RET_ERRNO	0x00050000U
#define SECCOMP_RET_USER_NOTIF	0x7fc00000U
#define SECCOMP_RET_TRACE	0x7ff00000U
#define SECCOMP_RET_LOG		0x7ffc0000U
#define SECCOMP_RET_ALLOW	0x7fff0000U
#define SECCOMP_RET_ACTION_FULL	0xffff0000U
#define SECCOMP_RET_DATA	0x0000ffffU

#define AUDIT_ARCH_X86_64	0xc000003eU

/* What a filter sees. */
struct seccomp_data {
	int nr;				/*  0: number of the system call */
	u32 arch;			/*  4: AUDIT_ARCH_ */
	u64 instruction_pointer;	/*  8 */
	u64 args[6];			/* 16 */
};

struct seccomp_filter;
struct task_struct;

struct seccomp {
	int mode;
	int filter_count;
	struct seccomp_filter *filter;	/* the newest; each leads to the one before it */
};

int __secure_computing(const struct seccomp_data *sd);
long prctl_get_seccomp(void);
long prctl_set_seccomp(unsigned long seccomp_mode, void *filter);
void copy_seccomp(struct task_struct *p);
void seccomp_filter_release(struct task_struct *tsk);

/* Tells the host what became of a system call: the data, what the filters said, and the task's mode. */
void seccomp_report(const struct seccomp_data *sd, unsigned long filter_ret, unsigned long mode);

#endif
