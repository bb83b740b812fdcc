/*
 * syscalls.h: SYSCALL_DEFINEn. The function in sys_call_table takes the saved registers, __x64_sys_read(regs); the body
 * with its typed arguments is inlined there. So a probe on a system call sees one argument: the user's registers. What the
 * arguments are called and of which type they are is kept beside the code, for the events of the system call.
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

/* Arguments that are passed over, or read as the plain words that they begin with. */
struct rusage;
struct timezone;
struct sigaction;
struct getcpu_cache;
struct sockaddr;

/* Listed by address in the section __syscalls_metadata. The number is found by whoever looks the name up in the table. */
struct syscall_metadata {
	const char *name;		/*  0: "sys_read" */
	int syscall_nr;			/*  8: -1 */
	int nb_args;			/* 12 */
	const char **types;		/* 16 */
	const char **args;		/* 24 */
};

/* m(type, name) for each pair; the types come out with their macros expanded, so that __user is gone. */
#define __MAP0(m, ...)
#define __MAP1(m, t, a, ...) m(t, a)
#define __MAP2(m, t, a, ...) m(t, a), __MAP1(m, __VA_ARGS__)
#define __MAP3(m, t, a, ...) m(t, a), __MAP2(m, __VA_ARGS__)
#define __MAP4(m, t, a, ...) m(t, a), __MAP3(m, __VA_ARGS__)
#define __MAP5(m, t, a, ...) m(t, a), __MAP4(m, __VA_ARGS__)
#define __MAP6(m, t, a, ...) m(t, a), __MAP5(m, __VA_ARGS__)
#define __SC_STR_ADECL(t, a)	#a
#define __SC_STR_TDECL(t, a)	#t

#define SYSCALL_METADATA(sname, nb, ...)						\
	static const char *types__##sname[] = { __MAP##nb(__SC_STR_TDECL, __VA_ARGS__) };	\
	static const char *args__##sname[] = { __MAP##nb(__SC_STR_ADECL, __VA_ARGS__) };	\
	static const struct syscall_metadata __syscall_meta__##sname = {		\
		.name = "sys_" #sname, .syscall_nr = -1, .nb_args = nb,			\
		.types = types__##sname, .args = args__##sname,				\
	};										\
	static const struct syscall_metadata *const __used __section("__syscalls_metadata")	\
		__p_syscall_meta__##sname = &__syscall_meta__##sname

#define __SYSCALL_BODY(name, call, ...)						\
	static __always_inline long __do_sys_##name(__VA_ARGS__);		\
	long __x64_sys_##name(const struct pt_regs *regs);			\
	ALLOW_ERROR_INJECTION(__x64_sys_##name, ERRNO);				\
	long __x64_sys_##name(const struct pt_regs *regs) { return __do_sys_##name call; } \
	static __always_inline long __do_sys_##name(__VA_ARGS__)

#define __SYSCALL_DEFINE0(name)							\
	long __x64_sys_##name(const struct pt_regs *__unused_regs);		\
	ALLOW_ERROR_INJECTION(__x64_sys_##name, ERRNO);				\
	long __x64_sys_##name(const struct pt_regs *__unused_regs)
#define SYSCALL_DEFINE0(name)							\
	SYSCALL_METADATA(name, 0);						\
	__SYSCALL_DEFINE0(name)
#define SYSCALL_DEFINE1(name, t1, a1)						\
	SYSCALL_METADATA(name, 1, t1, a1);					\
	__SYSCALL_BODY(name, ((t1)regs->di), t1 a1)
#define SYSCALL_DEFINE2(name, t1, a1, t2, a2)					\
	SYSCALL_METADATA(name, 2, t1, a1, t2, a2);				\
	__SYSCALL_BODY(name, ((t1)regs->di, (t2)regs->si), t1 a1, t2 a2)
#define SYSCALL_DEFINE3(name, t1, a1, t2, a2, t3, a3)				\
	SYSCALL_METADATA(name, 3, t1, a1, t2, a2, t3, a3);			\
	__SYSCALL_BODY(name, ((t1)regs->di, (t2)regs->si, (t3)regs->dx), t1 a1, t2 a2, t3 a3)
#define SYSCALL_DEFINE4(name, t1, a1, t2, a2, t3, a3, t4, a4)			\
	SYSCALL_METADATA(name, 4, t1, a1, t2, a2, t3, a3, t4, a4);		\
	__SYSCALL_BODY(name, ((t1)regs->di, (t2)regs->si, (t3)regs->dx, (t4)regs->r10), \
		       t1 a1, t2 a2, t3 a3, t4 a4)
#define SYSCALL_DEFINE5(name, t1, a1, t2, a2, t3, a3, t4, a4, t5, a5)		\
	SYSCALL_METADATA(name, 5, t1, a1, t2, a2, t3, a3, t4, a4, t5, a5);	\
	__SYSCALL_BODY(name, ((t1)regs->di, (t2)regs->si, (t3)regs->dx, (t4)regs->r10, (t5)regs->r8), \
		       t1 a1, t2 a2, t3 a3, t4 a4, t5 a5)
#define SYSCALL_DEFINE6(name, t1, a1, t2, a2, t3, a3, t4, a4, t5, a5, t6, a6)	\
	SYSCALL_METADATA(name, 6, t1, a1, t2, a2, t3, a3, t4, a4, t5, a5, t6, a6);	\
	__SYSCALL_BODY(name, ((t1)regs->di, (t2)regs->si, (t3)regs->dx, (t4)regs->r10, (t5)regs->r8, (t6)regs->r9), \
		       t1 a1, t2 a2, t3 a3, t4 a4, t5 a5, t6 a6)

#endif
