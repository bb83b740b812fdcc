/*
 * fault.c: exception 14. A fault on a user address is the normal way to get memory (handle_mm_fault); one on a kernel
 * address never is.
 */
#include "hypercalls.h"
#include "mm.h"
#include "printk.h"
#include "processor.h"
#include "sched.h"
#include "trace.h"
#include "uaccess.h"

#define X86_PF_PROT	1	/* the page is there, the right is not */
#define X86_PF_WRITE	2
#define X86_PF_USER	4
#define X86_PF_INSTR	16

DECLARE_PER_CPU(unsigned long, current_kprobe);

/* A fault by the instruction that a kprobe runs in its place belongs to the original address; only the host can tell. */
nokprobe_inline bool kprobe_page_fault(struct pt_regs *regs, int trapnr)
{
	return !user_mode(regs) && this_cpu_read(current_kprobe) && kprobe_fault_handler(regs, trapnr);
}

static noinline void page_fault_oops(struct pt_regs *regs, unsigned long error_code, unsigned long address)
{
	oops_in_progress++;
	if (address < PAGE_SIZE)
		pr_alert("BUG: kernel NULL pointer dereference, address: %016lx\n", address);
	else
		pr_alert("BUG: unable to handle page fault for address: %016lx\n", address);
	pr_alert("#PF: %s %s in %s mode\n", error_code & X86_PF_USER ? "user" : "supervisor",
		 error_code & X86_PF_INSTR ? "instruction fetch" :
		 error_code & X86_PF_WRITE ? "write access" : "read access", user_mode(regs) ? "user" : "kernel");
	pr_alert("#PF: error_code(0x%04lx) - %s\n", error_code,
		 error_code & X86_PF_PROT ? "permissions violation" : "not-present page");
	oops_in_progress--;
	die("Oops", regs, error_code);
}

static void bad_area_nosemaphore(struct pt_regs *regs, unsigned long error_code, unsigned long address, int signal,
				 int si_code)
{
	if (!user_mode(regs)) {
		if (!fixup_exception(regs))
			page_fault_oops(regs, error_code, address);
		return;
	}
	current->thread.cr2 = address;
	current->thread.error_code = error_code;
	current->thread.trap_nr = 14;
	if (unhandled_signal(current, signal))
		pr_info("%s[%d]: segfault at %lx ip %016lx sp %016lx error %lx\n",
			current->comm, current->pid, address, regs->ip, regs->sp, error_code);
	force_sig_fault(signal, si_code, (void __user *)address);
}

static noinline void do_kern_addr_fault(struct pt_regs *regs, unsigned long error_code, unsigned long address)
{
	if (kprobe_page_fault(regs, 14))
		return;
	bad_area_nosemaphore(regs, error_code, address, SIGSEGV, SEGV_MAPERR);
}
NOKPROBE_SYMBOL(do_kern_addr_fault);

static bool access_error(unsigned long error_code, struct vm_area_struct *vma)
{
	if (error_code & X86_PF_WRITE)
		return !(vma->vm_flags & VM_WRITE);
	if (error_code & X86_PF_INSTR)
		return !(vma->vm_flags & VM_EXEC);
	return !(vma->vm_flags & (VM_READ | VM_WRITE | VM_EXEC));
}

static noinline void do_user_addr_fault(struct pt_regs *regs, unsigned long error_code, unsigned long address)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	unsigned int flags = 0, fault;

	if (kprobe_page_fault(regs, 14))
		return;
	/* Bringing in a page may sleep and takes locks: not in an interrupt, and not without an address space. */
	if (in_interrupt() || !mm) {
		bad_area_nosemaphore(regs, error_code, address, SIGSEGV, SEGV_MAPERR);
		return;
	}
	if (regs->flags & X86_EFLAGS_IF)
		local_irq_enable();
	if (error_code & X86_PF_WRITE)
		flags |= FAULT_FLAG_WRITE;
	if (error_code & X86_PF_INSTR)
		flags |= FAULT_FLAG_INSTRUCTION;
	if (user_mode(regs))
		flags |= FAULT_FLAG_USER;

	vma = find_vma(mm, address);
	if (!vma || (vma->vm_start > address && expand_stack(vma, address))) {
		bad_area_nosemaphore(regs, error_code, address, SIGSEGV, SEGV_MAPERR);
		return;
	}
	if (access_error(error_code, vma)) {
		bad_area_nosemaphore(regs, error_code, address, SIGSEGV, SEGV_ACCERR);
		return;
	}
	fault = handle_mm_fault(vma, address, flags, regs);
	if (fault & VM_FAULT_OOM)
		bad_area_nosemaphore(regs, error_code, address, SIGKILL, SI_KERNEL);
	else if (fault & VM_FAULT_SIGBUS)
		bad_area_nosemaphore(regs, error_code, address, SIGBUS, BUS_ADRERR);
}
NOKPROBE_SYMBOL(do_user_addr_fault);

static __always_inline void handle_page_fault(struct pt_regs *regs, unsigned long error_code, unsigned long address)
{
	if (user_mode(regs))
		trace_page_fault_user(address, regs, error_code);
	else
		trace_page_fault_kernel(address, regs, error_code);
	if (address >= TASK_SIZE_MAX)
		do_kern_addr_fault(regs, error_code, address);
	else
		do_user_addr_fault(regs, error_code, address);
	/* irqentry_exit() expects them off. */
	local_irq_disable();
}

void exc_page_fault(struct pt_regs *regs, unsigned long error_code);
noinstr void exc_page_fault(struct pt_regs *regs, unsigned long error_code)
{
	/* Before anything else can fault and overwrite it. */
	unsigned long address = read_cr2();

	irqentry_enter(regs);
	handle_page_fault(regs, error_code, address);
	irqentry_exit(regs);
}
