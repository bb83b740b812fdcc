/*
 * vmalloc.c: kernel stacks, in an area of their own with a hole under each. A stack that was given back stays mapped and
 * is the next to be used: unmapping it would mean telling every CPU to forget the address.
 */
#include "mm.h"
#include "string.h"

static DEFINE_SPINLOCK(vmap_lock);
static unsigned long next_slot = VMALLOC_START;
static void *cached_stacks;	/* chained through their first words */

/* Makes the top-level entry, so that every address space created later shares what is below it. */
void __init vmalloc_init(void)
{
	pte_lookup(init_top_pgt, VMALLOC_START, true);
}

/* When memory runs out half way, what is mapped stays for the next attempt. */
static void *new_stack(void)
{
	unsigned long stack = next_slot + STACK_SLOT_SIZE - THREAD_SIZE;

	for (unsigned long va = stack; va < stack + THREAD_SIZE; va += PAGE_SIZE) {
		pte_t *pte = pte_lookup(init_top_pgt, va, true);
		struct page *page;

		if (pte && (*pte & _PAGE_PRESENT))
			continue;
		page = pte ? alloc_page(GFP_KERNEL) : NULL;
		if (!page)
			return NULL;
		*pte = page_to_phys(page) | PAGE_KERNEL;
	}
	next_slot += STACK_SLOT_SIZE;
	return (void *)stack;
}

void *alloc_thread_stack(void)
{
	unsigned long flags;
	void *stack;

	spin_lock_irqsave(&vmap_lock, flags);
	stack = cached_stacks;
	if (stack)
		cached_stacks = *(void **)stack;
	else
		stack = new_stack();
	spin_unlock_irqrestore(&vmap_lock, flags);
	/* Zeroes, so that what a task leaves on its stack is the same in every run and "stack used" can be read off. */
	return stack ? memset(stack, 0, THREAD_SIZE) : NULL;
}

void free_thread_stack(void *stack)
{
	unsigned long flags;

	spin_lock_irqsave(&vmap_lock, flags);
	*(void **)stack = cached_stacks;
	cached_stacks = stack;
	spin_unlock_irqrestore(&vmap_lock, flags);
}
