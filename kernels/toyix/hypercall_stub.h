/* hypercall_stub.h: a function whose body is on the other side of the hypercall port. */
#ifndef _HYPERCALL_STUB_H
#define _HYPERCALL_STUB_H

#include "hypercalls.h"
#include "linkage.h"

/*
 * The answer comes in rax. A non-zero r10 instead asks for a call into the guest, whose result goes back with HC_RESUME,
 * and so on until r10 is 0.
 */
.macro HYPERCALL_STUB name nr
SYM_FUNC_START(\name)
	pushq	%rbp
	movq	%rsp, %rbp
	movl	$\nr, %eax
1:	out	%eax, $HC_PORT
	testq	%r10, %r10
	jz	2f
	call	*%r10
	movq	%rax, %rdi
	movl	$HC_RESUME, %eax
	jmp	1b
2:	popq	%rbp
	ret
SYM_FUNC_END(\name)
	.pushsection .hypercalls, "a"
	.quad	\name, \nr
	.popsection
.endm

#endif
