/*
 * ftrace_64.S: where the 5-byte nop at a function's entry calls to once the host has made a call of it. The stack is then
 * {back into the function, back to the function's caller}.
 *
 * The code from ftrace_regs_caller to ftrace_regs_caller_end is also a template: the host copies it for each user of
 * ftrace (ftrace_trampoline in kallsyms), puts a ret behind it, and lets the call at ftrace_regs_call go to that user's
 * own function. The original serves the functions that several users have hooked. One of these may be a BPF trampoline: its
 * address is then left in orig_ax, and is returned to instead of the function, with the function's own address above it,
 * as if the function had called it. A copy serves one user alone, so the jump to that is a nop there.
 */
#include "calling.h"
#include "linkage.h"
#include "segment.h"

	.section .kprobes.text, "ax"

/* func(ip, parent_ip, regs): it may change any register but sp, and where we return to. */
SYM_CODE_START(ftrace_regs_caller)
	pushfq					/* before addq changes them */
	pushq	$__KERNEL_DS			/* ss */
	pushq	%rsp				/* sp: as the function would find it, at its return address */
	addq	$3*8, (%rsp)
	pushq	2*8(%rsp)			/* flags */
	pushq	$__KERNEL_CS			/* cs */
	pushq	5*8(%rsp)			/* ip: after the call */
	pushq	$0				/* orig_ax */
	PUSH_REGS
	movq	%rsp, %rdx
	movq	PT_RSP(%rdx), %rsi
	movq	(%rsi), %rsi
	movq	PT_RIP(%rdx), %rdi
	subq	$5, %rdi
	PUSH_FRAME PT_RIP(%rdx)
SYM_INNER_LABEL(ftrace_regs_call)
	call	arch_ftrace_ops_list_func
	addq	$16, %rsp

	movq	PT_EFLAGS(%rsp), %rax
	movq	%rax, 21*8(%rsp)
	movq	PT_RIP(%rsp), %rax
	movq	%rax, 22*8(%rsp)
	movq	PT_ORIG_RAX(%rsp), %rax
	testq	%rax, %rax
SYM_INNER_LABEL(ftrace_regs_caller_jmp)
	jnz	1f
	POP_REGS
	addq	$6*8, %rsp
	popfq
SYM_INNER_LABEL(ftrace_regs_caller_end)
	ret

	/* One word more is left for the way out, so the flags go where ss was. */
1:	movq	PT_EFLAGS(%rsp), %rdi
	movq	%rdi, PT_SS(%rsp)
	movq	%rax, 21*8(%rsp)
	POP_REGS
	addq	$5*8, %rsp
	popfq
	ret
SYM_CODE_END(ftrace_regs_caller)

	.section .note.GNU-stack, "", @progbits
