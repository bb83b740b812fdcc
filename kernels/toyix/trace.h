/*
 * trace.h: tracepoints: named places in the kernel that someone may want to hear of. Off, one costs a nop; on, the nop is a
 * jmp (jump_label.h) to a call of __traceiter_NAME, which is a hypercall (trace.S). Which there are: tracepoints.h.
 */
#ifndef _TRACE_H
#define _TRACE_H

#include "compiler.h"
#include "jump_label.h"
#include "ptrace.h"
#include "signal.h"
#include "time.h"

struct tracepoint {
	const char *name;
	struct static_key key;		/*  8: on while somebody listens */
	void *iterator;			/* 24: __traceiter_NAME */
};

#define TP(...)	__VA_ARGS__
#define DECLARE_TRACE(name, proto, args)				\
	extern struct tracepoint __tracepoint_##name;			\
	void __traceiter_##name(proto);					\
	typedef void (*btf_trace_##name)(void *__data, proto);		\
	static __always_inline void trace_##name(proto)			\
	{								\
		if (static_key_false(&__tracepoint_##name.key))		\
			__traceiter_##name(args);			\
	}

struct task_struct;
struct linux_binprm;
struct work_struct;
struct irqaction;
struct k_sigaction;

#include "tracepoints.h"

#endif
