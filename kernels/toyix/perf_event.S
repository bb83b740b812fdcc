/* perf_event.S: the overflow of a perf event that counts the CPU's clock, which the host plays (tick.c). */
#include "hypercall_stub.h"
#include "hypercalls.h"

	.text

	HYPERCALL_STUB perf_swevent_hrtimer	HC_PERF_SWEVENT_HRTIMER

	.section .note.GNU-stack, "", @progbits
