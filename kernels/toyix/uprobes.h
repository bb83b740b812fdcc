/* uprobes.h: breakpoints in programs (uprobes.c), and what a task and an address space remember of them. */
#ifndef _UPROBES_H
#define _UPROBES_H

#include "ptrace.h"

struct mm_struct;
struct vm_area_struct;
struct task_struct;
struct page;

enum uprobe_task_state { UTASK_RUNNING, UTASK_SSTEP, UTASK_SSTEP_ACK };

/* A call whose return is awaited: the word on the user's stack that said where to is replaced by the trampoline's address. */
struct return_instance {
	unsigned long uprobe;		/*  0: the host's number of it */
	unsigned long func;		/*  8 */
	unsigned long stack;		/* 16: the stack pointer at the entry */
	unsigned long orig_ret_vaddr;	/* 24 */
	bool chained;			/* the word was replaced before, by a probe on the same call */
	struct return_instance *next;	/* the call before */
};

/* In Linux allocated with the task's first hit. */
struct uprobe_task {
	enum uprobe_task_state state;
	unsigned int depth;		/* of return_instances */
	unsigned long active_uprobe;	/* whose instruction is being stepped; 0: none */
	unsigned long fixups;		/* what is to be mended after it: UPROBE_FIX_ */
	unsigned long vaddr;		/* where the instruction really is */
	unsigned long xol_vaddr;	/* where its copy is */
	unsigned long saved_scratch_register;
	bool saved_tf;
	struct return_instance *return_instances;
};

/* The page of an address space where displaced instructions run. Slot 0 holds the int3 that hijacked returns go to. */
struct xol_area {
	unsigned long bitmap;		/* slots in use */
	struct page *page;
	unsigned long vaddr;
};
struct uprobes_state {
	struct xol_area *xol_area;
};

#define UPROBE_XOL_SLOT_BYTES	128
#define UINSNS_PER_PAGE		(PAGE_SIZE / UPROBE_XOL_SLOT_BYTES)
#define MAX_URETPROBE_DEPTH	64

/* What the copy of an instruction leaves to be mended. The length of the original is in the second byte. */
#define UPROBE_FIX_IP		0x01UL	/* ip is relative to the copy */
#define UPROBE_FIX_CALL		0x02UL	/* so is the return address that it pushed */
#define UPROBE_FIX_SETF		0x04UL	/* it was popf: TF is the user's */
#define UPROBE_FIX_RIP_SI	0x08UL	/* its operand relative to rip is now relative to this register */
#define UPROBE_FIX_RIP_DI	0x10UL
#define UPROBE_FIX_RIP_BX	0x20UL
#define UPROBE_FIX_RIP_MASK	(UPROBE_FIX_RIP_SI | UPROBE_FIX_RIP_DI | UPROBE_FIX_RIP_BX)
#define UPROBE_ILEN(fixups)	((fixups) >> 8 & 0xff)

int uprobe_pre_sstep_notifier(struct pt_regs *regs);
int uprobe_post_sstep_notifier(struct pt_regs *regs);
void uprobe_notify_resume(struct pt_regs *regs);
struct page *uprobe_text_page(struct vm_area_struct *vma, unsigned long index, struct page *page);
void uprobe_copy_process(struct task_struct *t, unsigned long flags);
void uprobe_free_utask(struct task_struct *t);
void uprobe_clear_state(struct mm_struct *mm);
struct xol_area *get_xol_area(void);
unsigned long get_trampoline_vaddr(void);

/* uretprobes.c */
void prepare_uretprobe(unsigned long uprobe, struct pt_regs *regs);
void handle_trampoline(struct pt_regs *regs);
bool uprobe_deny_signal(void);
void free_ret_instances(struct uprobe_task *utask);
void dup_utask(struct task_struct *t, struct return_instance *ri);

#endif
