/*
 * crt0: the first instructions of every program. The kernel leaves argc at the stack pointer, then argv, NULL, the
 * environment, NULL.
 */
	.section .text.start, "ax"
	.globl _start
	.type _start, @function
_start:
	xorl	%ebp, %ebp		/* the outermost frame */
	movq	(%rsp), %rdi		/* argc */
	leaq	8(%rsp), %rsi		/* argv */
	andq	$-16, %rsp
	call	main
	movl	%eax, %edi
	call	exit
	.size _start, . - _start
	.section .note.GNU-stack, "", @progbits
