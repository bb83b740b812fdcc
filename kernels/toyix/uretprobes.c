/*
 * uretprobes.c: catching the returns of a program's functions. At the entry the return address on the user's stack is replaced
 * by that of an int3 in the page for displaced instructions; the real one is kept in a list, the latest call first.
 */
#include "mm.h"
#include "printk.h"
#include "sched.h"
#include "uaccess.h"
#include "uprobes.h"

/* Played by the host. */
void consumers_ret_handler(struct return_instance *ri, struct pt_regs *regs);

static struct return_instance *free_ret_instance(struct uprobe_task *utask, struct return_instance *ri)
{
	struct return_instance *next = ri->next;

	kfree(ri);
	utask->depth--;
	return next;
}

/* A call is over without a return when the stack pointer has gone above its return address: longjmp, say. */
static bool arch_uretprobe_is_alive(struct return_instance *ret, struct pt_regs *regs, bool entering_chained)
{
	return entering_chained ? regs->sp <= ret->stack : regs->sp < ret->stack;
}

static unsigned long arch_uretprobe_hijack_return_addr(unsigned long trampoline_vaddr, struct pt_regs *regs)
{
	unsigned long orig_ret_vaddr;

	if (get_user(orig_ret_vaddr, (unsigned long __user *)regs->sp))
		return -1UL;
	if (orig_ret_vaddr != trampoline_vaddr && put_user(trampoline_vaddr, (unsigned long __user *)regs->sp))
		return -1UL;
	return orig_ret_vaddr;
}

void prepare_uretprobe(unsigned long uprobe, struct pt_regs *regs)
{
	struct uprobe_task *utask = &current->utask;
	struct return_instance *ri;
	unsigned long orig_ret_vaddr;
	bool chained;

	if (!get_xol_area())
		return;
	if (utask->depth >= MAX_URETPROBE_DEPTH) {
		pr_info("uprobe: omit uretprobe due to nestedness limit pid/tgid=%d/%d\n", current->pid, current->tgid);
		return;
	}
	ri = kmalloc(sizeof(*ri), GFP_KERNEL);
	if (!ri)
		return;
	orig_ret_vaddr = arch_uretprobe_hijack_return_addr(get_trampoline_vaddr(), regs);
	if (orig_ret_vaddr == -1UL)
		goto fail;
	chained = orig_ret_vaddr == get_trampoline_vaddr();
	while (utask->return_instances && !arch_uretprobe_is_alive(utask->return_instances, regs, chained))
		utask->return_instances = free_ret_instance(utask, utask->return_instances);
	if (chained) {
		if (!utask->return_instances)
			goto fail;
		orig_ret_vaddr = utask->return_instances->orig_ret_vaddr;
	}
	*ri = (struct return_instance){
		.uprobe = uprobe, .func = regs->ip, .stack = regs->sp, .orig_ret_vaddr = orig_ret_vaddr,
		.chained = chained, .next = utask->return_instances,
	};
	utask->depth++;
	utask->return_instances = ri;
	return;
fail:
	kfree(ri);
}

static struct return_instance *find_next_ret_chain(struct return_instance *ri)
{
	bool chained;

	do {
		chained = ri->chained;
		ri = ri->next;
	} while (chained);
	return ri;
}

/* The program has returned to the trampoline. */
void handle_trampoline(struct pt_regs *regs)
{
	struct uprobe_task *utask = &current->utask;
	struct return_instance *ri = utask->return_instances, *next;
	bool valid;

	if (!ri) {
		force_sig(SIGILL);
		return;
	}
	do {
		next = find_next_ret_chain(ri);
		/* ret has popped one word: a call further out that is still to return lies above. */
		valid = !next || regs->sp <= next->stack;
		regs->ip = ri->orig_ret_vaddr;
		do {
			if (valid)
				consumers_ret_handler(ri, regs);
			ri = free_ret_instance(utask, ri);
		} while (ri != next);
	} while (!valid);
	utask->return_instances = ri;
}

void free_ret_instances(struct uprobe_task *utask)
{
	while (utask->return_instances)
		utask->return_instances = free_ret_instance(utask, utask->return_instances);
}

/* The child returns through the same trampoline as often as its parent would: it needs the page at the same address. */
void dup_utask(struct task_struct *t, struct return_instance *ri)
{
	struct return_instance **tail = &t->utask.return_instances;

	for (; ri; ri = ri->next) {
		struct return_instance *copy = kmalloc(sizeof(*copy), GFP_KERNEL);

		if (!copy)
			return;
		*copy = *ri;
		copy->next = NULL;
		*tail = copy;
		tail = &copy->next;
		t->utask.depth++;
	}
}
