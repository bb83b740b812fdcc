/* trace.S: each tracepoint's key and the call that reports it, numbered in the order of tracepoints.h. */
#include "hypercall_stub.h"
#include "jump_label.h"

	.set	next_number, HC_FIRST_TRACEPOINT

.macro DEFINE_TRACE name
	.section .kprobes.text, "ax"
	HYPERCALL_STUB __traceiter_\name next_number
	.set	next_number, next_number + 1

	.section .rodata
9:	.asciz	"\name"
	.data
	.balign	8
	.globl	__tracepoint_\name
	.type	__tracepoint_\name, @object
__tracepoint_\name:
	.quad	9b
	STATIC_KEY_INIT_FALSE
	.quad	__traceiter_\name
	.size	__tracepoint_\name, 32
.endm

#define DECLARE_TRACE(name, proto, args) DEFINE_TRACE name
#include "tracepoints.h"

	.section .note.GNU-stack, "", @progbits
