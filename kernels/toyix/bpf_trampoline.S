/*
 * bpf_trampoline.S: what a BPF trampoline calls around a program, and around the function that it stands in for. The
 * trampolines themselves are made by the host, one for each function (bpf_trampoline_KEY in kallsyms).
 */
#include "hypercall_stub.h"
#include "hypercalls.h"

	.text

	/* u64 (struct bpf_prog *prog, struct bpf_tramp_run_ctx *run_ctx): 0 if the program is not to be run. */
	HYPERCALL_STUB __bpf_prog_enter_recur			HC_BPF_PROG_ENTER
	HYPERCALL_STUB __bpf_prog_enter_sleepable_recur		HC_BPF_PROG_ENTER_SLEEPABLE
	/* void (struct bpf_prog *prog, u64 start, struct bpf_tramp_run_ctx *run_ctx) */
	HYPERCALL_STUB __bpf_prog_exit_recur			HC_BPF_PROG_EXIT
	HYPERCALL_STUB __bpf_prog_exit_sleepable_recur		HC_BPF_PROG_EXIT_SLEEPABLE
	/* void (struct bpf_tramp_image *im) */
	HYPERCALL_STUB __bpf_tramp_enter			HC_BPF_TRAMP_ENTER
	HYPERCALL_STUB __bpf_tramp_exit				HC_BPF_TRAMP_EXIT
	/* unsigned int (const void *ctx, const struct bpf_insn *insn): the interpreter. */
	HYPERCALL_STUB __bpf_prog_run512			HC_BPF_PROG_RUN512
	/* const struct exception_table_entry *(unsigned long addr): of the program whose code is there. */
	HYPERCALL_STUB search_bpf_extables			HC_SEARCH_BPF_EXTABLES

	.section .note.GNU-stack, "", @progbits
