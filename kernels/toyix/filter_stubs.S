/*
 * filter_stubs.S: what the host plays of filter.c, and how it learns of verdicts. Each stub is one hypercall; probes are
 * welcome here.
 */
#include "hypercall_stub.h"

	.text

	HYPERCALL_STUB bpf_check_classic	HC_BPF_CHECK_CLASSIC
	HYPERCALL_STUB seccomp_check_filter	HC_SECCOMP_CHECK_FILTER
	HYPERCALL_STUB bpf_convert_filter	HC_BPF_CONVERT_FILTER
	HYPERCALL_STUB bpf_int_jit_compile	HC_BPF_INT_JIT_COMPILE
	HYPERCALL_STUB bpf_jit_free		HC_BPF_JIT_FREE
	HYPERCALL_STUB ___bpf_prog_run		HC_BPF_PROG_RUN
	HYPERCALL_STUB seccomp_report		HC_SECCOMP_REPORT
	HYPERCALL_STUB sk_filter_report		HC_SK_FILTER_REPORT

	.section .note.GNU-stack, "", @progbits
