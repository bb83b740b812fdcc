/*
 * uaccess.S: the copy between kernel and user memory. The string instructions keep their progress in registers, so after a
 * fault it is plain how far they came; each has its entry in __ex_table.
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
	shrq	$3, %rcx
	andl	$7, %edx
1:	rep movsq
	movl	%edx, %ecx
2:	rep movsb
3:	movq	%rcx, %rax
	popq	%rbp
	ret
	/* A word could not be copied; some of its bytes may still be good. */
4:	leaq	(%rdx, %rcx, 8), %rcx
	jmp	2b
	EXTABLE 1b 4b
	EXTABLE 2b 3b
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
