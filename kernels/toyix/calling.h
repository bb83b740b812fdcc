/* calling.h: saving and restoring the general registers as struct pt_regs, for the entry code and the kprobe stubs. */
#ifndef _CALLING_H
#define _CALLING_H

#include "asm-offsets.h"

/* The CPU's frame (or what stands for it) and orig_ax are on the stack already. */
.macro PUSH_REGS rax=%rax
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%rcx
	pushq	\rax
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
.endm

.macro POP_REGS pop_rdi=1
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rax
	popq	%rcx
	popq	%rdx
	popq	%rsi
	.if \pop_rdi
	popq	%rdi
	.endif
.endm

/*
 * A stack frame in the place of the interrupted code: {its rbp, its next instruction}. Whoever walks the chain of saved
 * frame pointers goes through the interruption without knowing of it.
 */
.macro PUSH_FRAME ip
	pushq	\ip
	pushq	%rbp
	movq	%rsp, %rbp
.endm

#endif
