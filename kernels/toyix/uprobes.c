/*
 * uprobes.c: breakpoints in programs. Which instruction of which file is probed, who is told, and what is special about the
 * instruction, the host knows (the functions of uprobes.S); here is what is done to the process.
 *
 * The breakpoint is an int3 in the process's own copy of a page of its program. It only sets TIF_UPROBE; the rest happens on
 * the way back to user mode, where one may sleep (uprobe_notify_resume). The displaced instruction then runs in a page that
 * the process is given for it, one step with TF set, and what it left behind there is mended after the #DB.
 */
#include "uprobes.h"
#include "fs.h"
#include "jump_label.h"
#include "mm.h"
#include "printk.h"
#include "processor.h"
#include "sched.h"
#include "string.h"
#include "uaccess.h"

#define UPROBE_SWBP_INSN_SIZE	1

/* Played by the host. A uprobe is known to us by a number, 0 for none. */
unsigned long find_uprobe(struct inode *inode, loff_t offset);
bool vma_has_uprobes(struct inode *inode, loff_t start, loff_t end);
void install_breakpoints(void *kaddr, struct inode *inode, loff_t offset);
bool consumers_handler(unsigned long uprobe, struct pt_regs *regs);
bool emulate_insn(unsigned long uprobe, struct pt_regs *regs, unsigned long *push);
unsigned long arch_uprobe_copy_ixol(unsigned long uprobe, void *kaddr, unsigned long vaddr);

/* On while there are uprobes; turned by the host. */
struct static_key uprobes_enabled_key = { .enabled = ATOMIC_INIT(0) };

/* Installing: the pages of a program's text */

static bool valid_vma(struct vm_area_struct *vma)
{
	return vma->vm_file && (vma->vm_flags & (VM_EXEC | VM_WRITE | VM_SHARED)) == VM_EXEC;
}

/*
 * A process touches a page of its program for the first time: page is the file's. If it has probed instructions, the process
 * gets a copy with int3s. Takes over the reference to page, as it returns one; NULL: no memory.
 */
struct page *uprobe_text_page(struct vm_area_struct *vma, pgoff_t index, struct page *page)
{
	loff_t offset = index << PAGE_SHIFT;
	struct page *new;

	if (!static_key_false(&uprobes_enabled_key) || !valid_vma(vma) ||
	    !vma_has_uprobes(file_inode(vma->vm_file), offset, offset + PAGE_SIZE))
		return page;
	new = alloc_page(GFP_USER);
	if (new) {
		memcpy(page_address(new), page_address(page), PAGE_SIZE);
		install_breakpoints(page_address(new), file_inode(vma->vm_file), offset);
		vma->vm_mm->flags |= MMF_HAS_UPROBES;
	}
	put_page(page);
	return new;
}

/* The page for displaced instructions */

static void *xol_kaddr(struct xol_area *area, unsigned long vaddr)
{
	return page_address(area->page) + (vaddr - area->vaddr);
}

/* vaddr 0: wherever there is room. */
static struct xol_area *__create_xol_area(struct mm_struct *mm, unsigned long vaddr)
{
	struct xol_area *area = kzalloc(sizeof(*area), GFP_KERNEL);
	pte_t *pte;

	if (!area)
		return NULL;
	area->page = alloc_page(GFP_USER | __GFP_ZERO);
	if (!area->page)
		goto free_area;
	area->vaddr = vaddr ? vaddr : get_unmapped_area(mm, PAGE_SIZE);
	if (IS_ERR_VALUE(area->vaddr))
		goto free_page;
	pte = pte_lookup(mm->pgd, area->vaddr, true);
	if (!pte || !mmap_region(mm, NULL, area->vaddr, PAGE_SIZE, VM_EXEC | VM_DONTCOPY, 0))
		goto free_page;
	/* One reference for the page table, one for us. */
	get_page(area->page);
	mm->rss++;
	*pte = page_to_phys(area->page) | _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED;
	area->bitmap = 1;
	arch_uprobe_copy_ixol(0, page_address(area->page), area->vaddr);
	return mm->uprobes_state.xol_area = area;

free_page:
	put_page(area->page);
free_area:
	kfree(area);
	return NULL;
}

struct xol_area *get_xol_area(void)
{
	struct mm_struct *mm = current->mm;

	return mm->uprobes_state.xol_area ? mm->uprobes_state.xol_area : __create_xol_area(mm, 0);
}

/* The address space goes; its mappings have been undone. */
void uprobe_clear_state(struct mm_struct *mm)
{
	struct xol_area *area = mm->uprobes_state.xol_area;

	if (!area)
		return;
	put_page(area->page);
	kfree(area);
	mm->uprobes_state.xol_area = NULL;
}

static unsigned long xol_get_insn_slot(unsigned long uprobe)
{
	struct xol_area *area = get_xol_area();
	unsigned long nr, vaddr;

	if (!area || area->bitmap == ~0UL >> (64 - UINSNS_PER_PAGE))
		return 0;
	nr = __builtin_ctzl(~area->bitmap);
	area->bitmap |= BIT(nr);
	vaddr = area->vaddr + nr * UPROBE_XOL_SLOT_BYTES;
	current->utask.fixups = arch_uprobe_copy_ixol(uprobe, xol_kaddr(area, vaddr), vaddr);
	return vaddr;
}

static void xol_free_insn_slot(struct task_struct *tsk)
{
	struct xol_area *area = tsk->mm ? tsk->mm->uprobes_state.xol_area : NULL;

	if (area && tsk->utask.xol_vaddr)
		area->bitmap &= ~BIT((tsk->utask.xol_vaddr - area->vaddr) / UPROBE_XOL_SLOT_BYTES);
	tsk->utask.xol_vaddr = 0;
}

/* Where hijacked returns go, -1 while there is no such place. */
unsigned long get_trampoline_vaddr(void)
{
	struct xol_area *area = current->mm->uprobes_state.xol_area;

	return area ? area->vaddr : -1UL;
}

/* Out of line: before and after the one step */

static unsigned long *scratch_reg(unsigned long fixups, struct pt_regs *regs)
{
	return fixups & UPROBE_FIX_RIP_SI ? &regs->si : fixups & UPROBE_FIX_RIP_DI ? &regs->di : &regs->bx;
}

static void arch_uprobe_pre_xol(struct uprobe_task *utask, struct pt_regs *regs)
{
	if (utask->fixups & UPROBE_FIX_RIP_MASK) {
		unsigned long *sr = scratch_reg(utask->fixups, regs);

		utask->saved_scratch_register = *sr;
		*sr = utask->vaddr + UPROBE_ILEN(utask->fixups);
	}
	regs->ip = utask->xol_vaddr;
	utask->saved_tf = regs->flags & X86_EFLAGS_TF;
	regs->flags |= X86_EFLAGS_TF;
}

static int emulate_push_stack(struct pt_regs *regs, unsigned long val)
{
	if (put_user(val, (unsigned long __user *)(regs->sp - sizeof(val))))
		return -EFAULT;
	regs->sp -= sizeof(val);
	return 0;
}

static void arch_uprobe_post_xol(struct uprobe_task *utask, struct pt_regs *regs)
{
	if (utask->fixups & UPROBE_FIX_RIP_MASK)
		*scratch_reg(utask->fixups, regs) = utask->saved_scratch_register;
	if (utask->fixups & UPROBE_FIX_IP) {
		regs->ip += utask->vaddr - utask->xol_vaddr;
	} else if (utask->fixups & UPROBE_FIX_CALL) {
		/* Instead of the address behind the copy, the one behind the original. */
		regs->sp += sizeof(long);
		if (emulate_push_stack(regs, utask->vaddr + UPROBE_ILEN(utask->fixups)))
			regs->ip = utask->vaddr;
	}
	if (utask->fixups & UPROBE_FIX_SETF)
		return;
	if (!utask->saved_tf)
		regs->flags &= ~X86_EFLAGS_TF;
}

static int pre_ssout(unsigned long uprobe, struct pt_regs *regs, unsigned long bp_vaddr)
{
	struct uprobe_task *utask = &current->utask;

	utask->xol_vaddr = xol_get_insn_slot(uprobe);
	if (!utask->xol_vaddr)
		return -ENOMEM;
	utask->vaddr = bp_vaddr;
	arch_uprobe_pre_xol(utask, regs);
	utask->active_uprobe = uprobe;
	utask->state = UTASK_SSTEP;
	return 0;
}

static void handle_singlestep(struct uprobe_task *utask, struct pt_regs *regs)
{
	arch_uprobe_post_xol(utask, regs);
	utask->active_uprobe = 0;
	utask->state = UTASK_RUNNING;
	xol_free_insn_slot(current);
	/* Signals that had to wait. */
	if (current->pending.signal & ~current->blocked)
		set_thread_flag(TIF_SIGPENDING);
}

/* The hit */

static unsigned long find_active_uprobe(unsigned long bp_vaddr, int *is_swbp)
{
	struct vm_area_struct *vma = find_vma(current->mm, bp_vaddr);
	unsigned long uprobe = 0;
	u8 opcode;

	*is_swbp = -EFAULT;
	if (!vma || vma->vm_start > bp_vaddr)
		return 0;
	if (valid_vma(vma))
		uprobe = find_uprobe(file_inode(vma->vm_file), (vma->vm_pgoff << PAGE_SHIFT) + bp_vaddr - vma->vm_start);
	if (!uprobe && !get_user(opcode, (u8 __user *)bp_vaddr))
		*is_swbp = opcode == 0xcc;
	return uprobe;
}

static bool arch_uprobe_skip_sstep(unsigned long uprobe, struct pt_regs *regs)
{
	unsigned long ip = regs->ip, push = 0, pushed = regs->sp - sizeof(long);

	if (!emulate_insn(uprobe, regs, &push))
		return false;
	/* The host cannot bring in a page: what the instruction pushes we do. */
	if (regs->sp == pushed) {
		regs->sp += sizeof(long);
		if (emulate_push_stack(regs, push)) {
			regs->ip = ip;
			return false;
		}
	}
	return true;
}

static void handle_swbp(struct pt_regs *regs)
{
	unsigned long bp_vaddr = regs->ip - UPROBE_SWBP_INSN_SIZE, uprobe;
	int is_swbp;

	if (bp_vaddr == get_trampoline_vaddr()) {
		handle_trampoline(regs);
		return;
	}
	uprobe = find_active_uprobe(bp_vaddr, &is_swbp);
	if (!uprobe) {
		/* The program's own int3; or one that has been removed since, and then the real instruction is there now. */
		if (is_swbp > 0)
			force_sig(SIGTRAP);
		else
			regs->ip = bp_vaddr;
		return;
	}
	regs->ip = bp_vaddr;
	if (consumers_handler(uprobe, regs))
		prepare_uretprobe(uprobe, regs);
	/* A handler has sent the program elsewhere. */
	if (regs->ip != bp_vaddr)
		return;
	if (!arch_uprobe_skip_sstep(uprobe, regs))
		pre_ssout(uprobe, regs, bp_vaddr);
}

/*
 * Whether a pending signal has to wait until the step is over. One that the step itself has caused ends it: the task is back
 * at the instruction that it has not executed.
 */
bool uprobe_deny_signal(void)
{
	struct uprobe_task *utask = &current->utask;
	struct pt_regs *regs = task_pt_regs(current);

	if (!utask->active_uprobe)
		return false;
	if (!(current->pending.signal & (sigmask(SIGKILL) | sigmask(SIGSEGV) | sigmask(SIGBUS) | sigmask(SIGILL) |
					 sigmask(SIGFPE) | sigmask(SIGSYS)))) {
		clear_thread_flag(TIF_SIGPENDING);
		return true;
	}
	if (utask->fixups & UPROBE_FIX_RIP_MASK)
		*scratch_reg(utask->fixups, regs) = utask->saved_scratch_register;
	regs->ip = utask->vaddr;
	if (!utask->saved_tf)
		regs->flags &= ~X86_EFLAGS_TF;
	utask->active_uprobe = 0;
	utask->state = UTASK_RUNNING;
	xol_free_insn_slot(current);
	return false;
}

/* On the way to user mode, with interrupts on. */
void uprobe_notify_resume(struct pt_regs *regs)
{
	clear_thread_flag(TIF_UPROBE);
	if (current->utask.active_uprobe)
		handle_singlestep(&current->utask, regs);
	else
		handle_swbp(regs);
}

/* int3 in user mode: whether it may be ours. */
int uprobe_pre_sstep_notifier(struct pt_regs *regs)
{
	if (!(current->mm->flags & MMF_HAS_UPROBES) && !current->utask.return_instances)
		return 0;
	set_thread_flag(TIF_UPROBE);
	return 1;
}

/* #DB in user mode. */
int uprobe_post_sstep_notifier(struct pt_regs *regs)
{
	if (!current->utask.active_uprobe)
		return 0;
	current->utask.state = UTASK_SSTEP_ACK;
	set_thread_flag(TIF_UPROBE);
	return 1;
}

/* Tasks that come and go */

void uprobe_copy_process(struct task_struct *t, unsigned long flags)
{
	struct xol_area *area;

	t->utask = (struct uprobe_task){};
	if (!t->mm || !current->utask.return_instances || (t->mm == current->mm && !(flags & CLONE_VFORK)))
		return;
	dup_utask(t, current->utask.return_instances);
	area = current->mm->uprobes_state.xol_area;
	if (area && t->mm != current->mm)
		__create_xol_area(t->mm, area->vaddr);
}

/* The task leaves its address space. */
void uprobe_free_utask(struct task_struct *t)
{
	free_ret_instances(&t->utask);
	xol_free_insn_slot(t);
	t->utask = (struct uprobe_task){};
}
