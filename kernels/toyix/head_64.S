/*
 * head_64.S: the first instructions of every CPU. startup_64 is the image's entry point (vCPU 0, on the loader's page
 * tables, which map the image where it is linked); secondary_startup_64 is where HC_CPU_UP starts the others, on the
 * kernel's own. The three initial_ variables say where to go on, as a stack is needed before C can run.
 */
#include "linkage.h"
#include "memlayout.h"
#include "segment.h"

	.section .head.text, "ax"

SYM_CODE_START(startup_64)
	movq	%rdi, boot_params_pa(%rip)
	jmp	secondary_startup_64
SYM_CODE_END(startup_64)

SYM_CODE_START(secondary_startup_64)
	lgdt	early_gdt_descr(%rip)
	movl	$__KERNEL_DS, %eax
	movl	%eax, %ss
	movl	%eax, %ds
	movl	%eax, %es
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs

	/* Loading a selector clears the base, so the base comes second. */
	movl	$MSR_GS_BASE, %ecx
	movl	initial_gs(%rip), %eax
	movl	initial_gs+4(%rip), %edx
	wrmsr

	movq	initial_stack(%rip), %rsp
	/* CS still names a segment of whoever started us; only a far transfer loads it. */
	pushq	$__KERNEL_CS
	pushq	$1f
	lretq
1:
	/* Stack walks end here. */
	xorl	%ebp, %ebp
	movq	initial_code(%rip), %rax
	call	*%rax
	ud2
SYM_CODE_END(secondary_startup_64)

	.section .data
	.balign 8
	.globl	initial_code, initial_gs, initial_stack, boot_params_pa
initial_code:	.quad	x86_64_start_kernel
/* 0: until the per-CPU areas exist the template itself is CPU 0's area. */
initial_gs:	.quad	0
initial_stack:	.quad	init_stack + THREAD_SIZE
boot_params_pa:	.quad	0

	.word	0, 0, 0
early_gdt_descr:
	.word	16 * 8 - 1
	.quad	gdt_page

	.section .bss..page_aligned, "aw", @nobits
	.balign	4096
	.globl	init_stack
/* init_task's stack, the only one without a guard page: there is no allocator yet. */
init_stack:	.skip	THREAD_SIZE

	.section .note.GNU-stack, "", @progbits
