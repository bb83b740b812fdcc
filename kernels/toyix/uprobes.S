/* uprobes.S: what the host plays of uprobes.c: the table of uprobes, their consumers, and what is special about instructions. */
#include "hypercall_stub.h"

	.section .kprobes.text, "ax"

	HYPERCALL_STUB find_uprobe			HC_FIND_UPROBE
	HYPERCALL_STUB vma_has_uprobes			HC_VMA_HAS_UPROBES
	HYPERCALL_STUB install_breakpoints		HC_INSTALL_BREAKPOINTS
	HYPERCALL_STUB consumers_handler		HC_CONSUMERS_HANDLER
	HYPERCALL_STUB consumers_ret_handler		HC_CONSUMERS_RET_HANDLER
	HYPERCALL_STUB emulate_insn			HC_EMULATE_INSN
	HYPERCALL_STUB arch_uprobe_copy_ixol		HC_ARCH_UPROBE_COPY_IXOL

	.section .note.GNU-stack, "", @progbits
