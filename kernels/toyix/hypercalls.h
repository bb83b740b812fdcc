/* hypercalls.h: the board's private port, and the numbers that this image binds to symbols (section .hypercalls, kprobes.S). */
#ifndef _HYPERCALLS_H
#define _HYPERCALLS_H

#define HC_PORT			0xb8

/* The board's own. */
#define HC_RESUME		0
#define HC_CLOCK		1
#define HC_CPU_UP		2
#define HC_SEND_IPI		3
#define HC_POWER_OFF		4
#define HC_PANIC		5
#define HC_MARK			6

#define HC_MARK_SCHED_SWITCH	1
#define HC_MARK_TASK_NEW	2
#define HC_MARK_TASK_EXEC	3
#define HC_MARK_TASK_EXIT	4
#define HC_MARK_BOOT_DONE	5

/* The kprobe core, played by the host. */
#define HC_KPROBE_INT3_HANDLER		16
#define HC_KPROBE_DEBUG_HANDLER		17
#define HC_KPROBE_FAULT_HANDLER		18
#define HC_RETHOOK_TRAMPOLINE_HANDLER	19
#define HC_POKE_INT3_HANDLER		20
#define HC_OPTIMIZED_CALLBACK		21
#define HC_KPROBE_FTRACE_HANDLER	22
#define HC_FPROBE_HANDLER		28
#define HC_FTRACE_OPS_LIST_FUNC		29
#define HC_RETHOOK_FIND_RET_ADDR	30

/* What BPF trampolines call, and the loads of BPF programs that may fault (bpf_trampoline.S). */
#define HC_BPF_PROG_ENTER		40
#define HC_BPF_PROG_EXIT		41
#define HC_BPF_TRAMP_ENTER		42
#define HC_BPF_TRAMP_EXIT		43
#define HC_BPF_PROG_RUN512		44
#define HC_SEARCH_BPF_EXTABLES		45
#define HC_BPF_PROG_ENTER_SLEEPABLE	46
#define HC_BPF_PROG_EXIT_SLEEPABLE	47

/* Sampling by the clock (perf_event.S). */
#define HC_PERF_SWEVENT_HRTIMER		48

/* The files of the host (hostfs.c). */
#define HC_HOSTFS_LOOKUP		64
#define HC_HOSTFS_READDIR		65
#define HC_HOSTFS_OPEN			66
#define HC_HOSTFS_READ			67
#define HC_HOSTFS_WRITE			68
#define HC_HOSTFS_RELEASE		69
#define HC_HOSTFS_MKDIR			70
#define HC_HOSTFS_UNLINK		71
#define HC_HOSTFS_RMDIR			72

/* Filters of system calls and packets (filter_stubs.S). */
#define HC_BPF_CHECK_CLASSIC		96
#define HC_SECCOMP_CHECK_FILTER		97
#define HC_BPF_CONVERT_FILTER		98
#define HC_BPF_INT_JIT_COMPILE		99
#define HC_BPF_JIT_FREE			100
#define HC_BPF_PROG_RUN			101
#define HC_SECCOMP_REPORT		102
#define HC_SK_FILTER_REPORT		103

/* bpf(2) (bpf_stubs.S). */
#define HC_BPF_FIND_AND_ALLOC_MAP	104
#define HC_BPF_MAP_BY_ID		105
#define HC_BPF_MAP_FREE			106
#define HC_BPF_MAP_VALUE_SIZE		107
#define HC_BPF_MAP_COPY_VALUE		108
#define HC_BPF_MAP_UPDATE_VALUE		109
#define HC_BPF_MAP_DELETE_VALUE		110
#define HC_BPF_MAP_NEXT_KEY		111
#define HC_BPF_MAP_TAKE_VALUE		112
#define HC_BPF_MAP_FREEZE		113
#define HC_BPF_CHECK			114
#define HC_BPF_VLOG_COPY		115
#define HC_BPF_PROG_FILL		116
#define HC_BPF_PROG_FREE_ID		117
#define HC_BPF_OBJ_NEXT_ID		118
#define HC_BPF_OBJ_DO_PIN		119
#define HC_BPF_OBJ_AT			120

/* The helpers of BPF programs, by their own numbers (bpf_helpers.S). */
#define HC_FIRST_BPF_HELPER		1024

/* Breakpoints in programs (uprobes.c). */
#define HC_FIND_UPROBE			80
#define HC_VMA_HAS_UPROBES		81
#define HC_INSTALL_BREAKPOINTS		82
#define HC_CONSUMERS_HANDLER		83
#define HC_CONSUMERS_RET_HANDLER	84
#define HC_EMULATE_INSN			85
#define HC_ARCH_UPROBE_COPY_IXOL	86

/* The tracepoints, in the order of tracepoints.h. */
#define HC_FIRST_TRACEPOINT		128

#ifndef __ASSEMBLER__
#include "compiler.h"
#include "ptrace.h"

/* For calls that never ask the guest to call something back, so r10 need not be looked at. */
static __always_inline unsigned long hypercall(unsigned int nr, unsigned long a, unsigned long b, unsigned long c)
{
	unsigned long ret = nr;

	__asm__ __volatile__("out %%eax, %1"
			     : "+a"(ret)
			     : "N"(HC_PORT), "D"(a), "S"(b), "d"(c)
			     : "r10", "memory");
	return ret;
}

#define hc_mark(kind, a, b)	hypercall(HC_MARK, kind, (unsigned long)(a), (unsigned long)(b))

int kprobe_int3_handler(struct pt_regs *regs);
int kprobe_debug_handler(struct pt_regs *regs);
int kprobe_fault_handler(struct pt_regs *regs, int trapnr);
unsigned long rethook_trampoline_handler(struct pt_regs *regs, unsigned long frame);
int poke_int3_handler(struct pt_regs *regs);
unsigned long rethook_find_ret_addr(unsigned long tsk, unsigned long frame);
void perf_swevent_hrtimer(struct pt_regs *regs);
void kprobe_ftrace_handler(unsigned long ip, unsigned long parent_ip, struct pt_regs *regs);
#endif

#endif
