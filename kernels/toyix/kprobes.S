/*
 * kprobes.S: the kprobe core's place in the image. The functions that Linux has in kprobes.c and rethook.c are played by
 * the host: each stub has the Linux function's name and arguments and is one hypercall. Listed in .hypercalls as
 * {address, number}. All of it is in .kprobes.text, where no probe is accepted.
 */
#include "calling.h"
#include "hypercall_stub.h"
#include "hypercalls.h"
#include "linkage.h"
#include "segment.h"

	.section .kprobes.text, "ax"

	HYPERCALL_STUB kprobe_int3_handler		HC_KPROBE_INT3_HANDLER
	HYPERCALL_STUB kprobe_debug_handler		HC_KPROBE_DEBUG_HANDLER
	HYPERCALL_STUB kprobe_fault_handler		HC_KPROBE_FAULT_HANDLER
	HYPERCALL_STUB rethook_trampoline_handler	HC_RETHOOK_TRAMPOLINE_HANDLER
	HYPERCALL_STUB poke_int3_handler		HC_POKE_INT3_HANDLER
	HYPERCALL_STUB optimized_callback		HC_OPTIMIZED_CALLBACK
	HYPERCALL_STUB kprobe_ftrace_handler		HC_KPROBE_FTRACE_HANDLER
	HYPERCALL_STUB fprobe_handler			HC_FPROBE_HANDLER
	HYPERCALL_STUB arch_ftrace_ops_list_func	HC_FTRACE_OPS_LIST_FUNC
	HYPERCALL_STUB rethook_find_ret_addr		HC_RETHOOK_FIND_RET_ADDR

/*
 * Where a function whose return is probed returns to: its return address on the stack was replaced by this one. It is
 * plain code, reached by ret and not by a trap. The word that ret has popped is pushed again (the handler replaces it by
 * the real address), a struct pt_regs is built below, and at the end ret takes the real address.
 *
 * unsigned long rethook_trampoline_handler(struct pt_regs *regs, unsigned long frame): frame is the address of that word.
 */
SYM_CODE_START(arch_rethook_trampoline)
	pushq	$arch_rethook_trampoline	/* the return address to be */
	pushq	$__KERNEL_DS			/* ss */
	pushq	%rsp				/* sp, corrected by the callback */
	pushfq					/* flags */
	pushq	$__KERNEL_CS			/* cs */
	pushq	$arch_rethook_trampoline	/* ip */
	pushq	$-1				/* orig_ax */
	PUSH_REGS
	movq	%rsp, %rdi
	PUSH_FRAME PT_RIP(%rdi)
	call	arch_rethook_trampoline_callback
	addq	$16, %rsp
	POP_REGS
	/* Up to the ss word, where the callback has put the flags: popfq must come last, addq changes them. */
	addq	$5*8, %rsp
	popfq
	ret
SYM_CODE_END(arch_rethook_trampoline)

/* override_function_with_return() sends a probed function here: it returns at once, with what the handler put in rax. */
SYM_FUNC_START(just_return_func)
	ret
SYM_FUNC_END(just_return_func)

	.section .note.GNU-stack, "", @progbits
