/*
 * uaccess.S: the copy between kernel and user memory. One instruction does it, so one entry in __ex_table covers every
 * fault; rep movsb leaves in rcx how much is missing.
 */
#include "linkage.h"

.macro EXTABLE from to
	.pushsection __ex_table, "a"
	.balign	4
	.long	\from - .
	.long	\to - .
	.long	1
	.popsection
.endm

	.text

/* unsigned long copy_user_generic(void *to, const void *from, unsigned long len): bytes not copied. */
SYM_FUNC_START(copy_user_generic)
	pushq	%rbp
	movq	%rsp, %rbp
	movq	%rdx, %rcx
1:	rep movsb
2:	movq	%rcx, %rax
	popq	%rbp
	ret
	EXTABLE 1b 2b
SYM_FUNC_END(copy_user_generic)

/* unsigned long __clear_user(void *to, unsigned long len): bytes not cleared. */
SYM_FUNC_START(__clear_user)
	pushq	%rbp
	movq	%rsp, %rbp
	movq	%rsi, %rcx
	xorl	%eax, %eax
1:	rep stosb
2:	movq	%rcx, %rax
	popq	%rbp
	ret
	EXTABLE 1b 2b
SYM_FUNC_END(__clear_user)

	.section .note.GNU-stack, "", @progbits
