/*
 * syscalls.h: SYSCALL_DEFINEn. The function in sys_call_table takes the saved registers, __x64_sys_read(regs); the body
 * with its typed arguments is inlined there. So a probe on a system call sees one argument: the user's registers.
 */
#ifndef _SYSCALLS_H
#define _SYSCALLS_H

#include "compiler.h"
#include "errno.h"
#include "ptrace.h"
#include "sched.h"
#include "uaccess.h"

typedef long (*sys_call_ptr_t)(const struct pt_regs *);
extern const sys_call_ptr_t sys_call_table[];

#define __SYSCALL_BODY(name, call, ...)						\
	static __always_inline long __do_sys_##name(__VA_ARGS__);		\
	long __x64_sys_##name(const struct pt_regs *regs);			\
	ALLOW_ERROR_INJECTION(__x64_sys_##name, ERRNO);				\
	long __x64_sys_##name(const struct pt_regs *regs) { return __do_sys_##name call; } \
	static __always_inline long __do_sys_##name(__VA_ARGS__)

#define SYSCALL_DEFINE0(name)							\
	long __x64_sys_##name(const struct pt_regs *__unused_regs);		\
	ALLOW_ERROR_INJECTION(__x64_sys_##name, ERRNO);				\
	long __x64_sys_##name(const struct pt_regs *__unused_regs)
#define SYSCALL_DEFINE1(name, t1, a1)						\
	__SYSCALL_BODY(name, ((t1)regs->di), t1 a1)
#define SYSCALL_DEFINE2(name, t1, a1, t2, a2)					\
	__SYSCALL_BODY(name, ((t1)regs->di, (t2)regs->si), t1 a1, t2 a2)
#define SYSCALL_DEFINE3(name, t1, a1, t2, a2, t3, a3)				\
	__SYSCALL_BODY(name, ((t1)regs->di, (t2)regs->si, (t3)regs->dx), t1 a1, t2 a2, t3 a3)
#define SYSCALL_DEFINE4(name, t1, a1, t2, a2, t3, a3, t4, a4)			\
	__SYSCALL_BODY(name, ((t1)regs->di, (t2)regs->si, (t3)regs->dx, (t4)regs->r10), \
		       t1 a1, t2 a2, t3 a3, t4 a4)
#define SYSCALL_DEFINE5(name, t1, a1, t2, a2, t3, a3, t4, a4, t5, a5)		\
	__SYSCALL_BODY(name, ((t1)regs->di, (t2)regs->si, (t3)regs->dx, (t4)regs->r10, (t5)regs->r8), \
		       t1 a1, t2 a2, t3 a3, t4 a4, t5 a5)
#define SYSCALL_DEFINE6(name, t1, a1, t2, a2, t3, a3, t4, a4, t5, a5, t6, a6)	\
	__SYSCALL_BODY(name, ((t1)regs->di, (t2)regs->si, (t3)regs->dx, (t4)regs->r10, (t5)regs->r8, (t6)regs->r9), \
		       t1 a1, t2 a2, t3 a3, t4 a4, t5 a5, t6 a6)

#endif
