/*
 * trace.c: the types of tracepoints' arguments. A program that hangs on one looks for the typedef btf_trace_NAME in the
 * kernel's BTF, and types that nobody uses would not be there. The variables themselves are thrown away by the linker.
 */
#include "binfmts.h"
#include "interrupt.h"
#include "sched.h"
#include "trace.h"
#include "workqueue.h"

#undef DECLARE_TRACE
#define DECLARE_TRACE(name, proto, args) \
	static const btf_trace_##name __used __section(".discard.btf_trace") __bpf_trace_##name = NULL;
#include "tracepoints.h"
