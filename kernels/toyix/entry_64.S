/*
 * entry_64.S: every way into the kernel and out of it. Each stub completes struct pt_regs on the kernel stack and calls
 * one C function with a pointer to it. Nothing here may be probed (.entry.text): GS may still be the user's.
 *
 * Exceptions and interrupts:  asm_exc_NAME -> exc_NAME(regs [, error code]) -> error_return
 * System calls:               entry_SYSCALL_64 -> do_syscall_64(regs, nr) -> sysretq, or iretq where that would be wrong
 */
#include "calling.h"
#include "linkage.h"
#include "segment.h"

	.section .entry.text, "ax"

/*
 * has_error_code: the CPU has pushed one already. Otherwise -1 takes its place, which also says "not a system call".
 */
.macro idtentry vector asmsym cfunc has_error_code:req
SYM_CODE_START(\asmsym)
	cld
	.if \has_error_code == 0
	pushq	$-1
	.endif

	.if \vector == 3
	/*
	 * A kprobe handler that emulates a call or a push writes below the interrupted stack pointer, and that is where
	 * the CPU put this very frame. So the frame is copied 6 words down and the emulation gets the original's place.
	 * (6 words and at most 8 bytes of alignment: enough for the one word that an emulated instruction pushes.)
	 */
	testb	$3, 2*8(%rsp)
	jnz	.Lno_gap_\@
	.rept	6
	pushq	5*8(%rsp)
	.endr
.Lno_gap_\@:
	.endif

	PUSH_REGS
	call	error_entry
	movq	%rsp, %rdi
	.if \has_error_code
	movq	PT_ORIG_RAX(%rsp), %rsi
	movq	$-1, PT_ORIG_RAX(%rsp)
	.endif
	PUSH_FRAME %rax
	call	\cfunc
	addq	$16, %rsp
	jmp	error_return
SYM_CODE_END(\asmsym)
.endm

/*
 * From user mode: take the kernel's GS. Returns in rax, and leaves in rbp, what PUSH_FRAME shall show: the interrupted
 * code, or 0 and 0 when that is the user's and the walk of the kernel stack ends here.
 */
SYM_CODE_START(error_entry)
	testb	$3, PT_CS+8(%rsp)
	jz	.Lerror_kernelspace
	swapgs
	xorl	%eax, %eax
	xorl	%ebp, %ebp
	ret
.Lerror_kernelspace:
	movq	PT_RIP+8(%rsp), %rax
	ret
SYM_CODE_END(error_entry)

/* The frame that is restored is pt_regs as it is now: handlers may have changed where and with what we go on. */
SYM_CODE_START(error_return)
	testb	$3, PT_CS(%rsp)
	jnz	swapgs_restore_regs_and_return_to_usermode
	POP_REGS
	addq	$8, %rsp
	iretq
SYM_CODE_END(error_return)

SYM_CODE_START(swapgs_restore_regs_and_return_to_usermode)
	POP_REGS
	addq	$8, %rsp
	swapgs
	iretq
SYM_CODE_END(swapgs_restore_regs_and_return_to_usermode)

	idtentry 0  asm_exc_divide_error		exc_divide_error		0
	idtentry 1  asm_exc_debug			exc_debug			0
	idtentry 3  asm_exc_int3			exc_int3			0
	idtentry 4  asm_exc_overflow			exc_overflow			0
	idtentry 5  asm_exc_bounds			exc_bounds			0
	idtentry 6  asm_exc_invalid_op			exc_invalid_op			0
	idtentry 7  asm_exc_device_not_available	exc_device_not_available	0
	idtentry 8  asm_exc_double_fault		exc_double_fault		1
	idtentry 10 asm_exc_invalid_tss			exc_invalid_tss			1
	idtentry 11 asm_exc_segment_not_present		exc_segment_not_present		1
	idtentry 12 asm_exc_stack_segment		exc_stack_segment		1
	idtentry 13 asm_exc_general_protection		exc_general_protection		1
	idtentry 14 asm_exc_page_fault			exc_page_fault			1
	idtentry 17 asm_exc_alignment_check		exc_alignment_check		1
	idtentry 0x34 asm_sysvec_serial_interrupt	sysvec_serial_interrupt		0
	idtentry 0xec asm_sysvec_apic_timer_interrupt	sysvec_apic_timer_interrupt	0
	idtentry 0xf6 asm_sysvec_irq_work		sysvec_irq_work			0
	idtentry 0xfd asm_sysvec_reschedule_ipi		sysvec_reschedule_ipi		0

/*
 * syscall: the CPU has put RIP into rcx and RFLAGS into r11 and loaded CS and SS, nothing else. We are in ring 0 with the
 * user's GS and the user's stack pointer, and interrupts are off (MSR_SYSCALL_MASK).
 */
SYM_CODE_START(entry_SYSCALL_64)
	swapgs
	movq	%rsp, %gs:cpu_tss_rw+TSS_sp2
	movq	%gs:cpu_current_top_of_stack, %rsp

	pushq	$__USER_DS			/* ss */
	pushq	%gs:cpu_tss_rw+TSS_sp2		/* sp */
	pushq	%r11				/* flags */
	pushq	$__USER_CS			/* cs */
	pushq	%rcx				/* ip */
	pushq	%rax				/* orig_ax */
	/* What a call that does not exist returns: -ENOSYS. */
	PUSH_REGS rax=$-38

	movq	%rsp, %rdi
	movslq	%eax, %rsi
	xorl	%ebp, %ebp
	call	do_syscall_64

	/*
	 * sysretq takes RIP from rcx and RFLAGS from r11. Where pt_regs says something else (execve does) or would send
	 * it to a non-canonical RIP, iretq restores everything.
	 */
	movq	PT_RCX(%rsp), %rcx
	cmpq	%rcx, PT_RIP(%rsp)
	jne	swapgs_restore_regs_and_return_to_usermode
	movq	%rcx, %rax
	shrq	$47, %rax
	jnz	swapgs_restore_regs_and_return_to_usermode
	movq	PT_R11(%rsp), %r11
	cmpq	%r11, PT_EFLAGS(%rsp)
	jne	swapgs_restore_regs_and_return_to_usermode
	cmpq	$__USER_CS, PT_CS(%rsp)
	jne	swapgs_restore_regs_and_return_to_usermode

	POP_REGS
	/* Interrupts are off, so nothing uses the kernel stack between here and ring 3. */
	movq	4*8(%rsp), %rsp
	swapgs
	sysretq
SYM_CODE_END(entry_SYSCALL_64)

/*
 * struct task_struct *__switch_to_asm(prev, next): leave prev's callee-saved registers on its stack, take next's stack,
 * and return into next. The order must be that of struct inactive_task_frame. Callable from C, so it lies in .text.
 */
	.text
SYM_FUNC_START(__switch_to_asm)
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, TASK_thread_sp(%rdi)
	movq	TASK_thread_sp(%rsi), %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	jmp	__switch_to
SYM_FUNC_END(__switch_to_asm)

/*
 * A new task's first instructions; __switch_to "returns" here. rax: the task that ran before. rbx: what a kernel thread
 * runs, r12 its argument; rbx is 0 for a user task.
 */
SYM_CODE_START(ret_from_fork)
	movq	%rax, %rdi
	call	schedule_tail
	testq	%rbx, %rbx
	jz	1f
	movq	%r12, %rdi
	call	*%rbx
	/* A kernel thread only comes back here when execve has turned it into a user task. */
	movq	$0, PT_RAX(%rsp)
1:	movq	%rsp, %rdi
	call	syscall_exit_to_user_mode
	jmp	swapgs_restore_regs_and_return_to_usermode
SYM_CODE_END(ret_from_fork)

	.section .note.GNU-stack, "", @progbits
