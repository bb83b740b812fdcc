/*
 * page_alloc.c: whole pages, by the buddy method: a free block of 2^n pages begins at a multiple of 2^n; its buddy is the
 * block whose number differs in that one bit. Splitting makes two buddies, freeing joins them again.
 */
#include "mm.h"
#include "printk.h"
#include "string.h"

#define MAX_ORDER	11	/* blocks up to 2^10 pages, 4 MiB */

struct page *mem_map;
unsigned long max_pfn;
atomic64_t nr_free_pages;

static struct list_head free_area[MAX_ORDER];
static DEFINE_SPINLOCK(zone_lock);

static void set_free(struct page *page, unsigned int order)
{
	page->flags |= PG_buddy;
	page->order = order;
	list_add(&page->lru, &free_area[order]);
}

static void clear_free(struct page *page)
{
	page->flags &= ~PG_buddy;
	list_del(&page->lru);
}

/* The smallest block that is large enough; what is too much goes back, half by half. */
static struct page *__rmqueue(unsigned int order)
{
	for (unsigned int current_order = order; current_order < MAX_ORDER; current_order++) {
		struct page *page = list_first_entry_or_null(&free_area[current_order], struct page, lru);

		if (!page)
			continue;
		clear_free(page);
		while (current_order > order) {
			current_order--;
			set_free(page + (1UL << current_order), current_order);
		}
		page->order = order;
		nr_free_pages.counter -= 1L << order;
		return page;
	}
	return NULL;
}

struct page *alloc_pages(gfp_t gfp, unsigned int order)
{
	unsigned long flags;
	struct page *page;

	spin_lock_irqsave(&zone_lock, flags);
	page = order < MAX_ORDER ? __rmqueue(order) : NULL;
	spin_unlock_irqrestore(&zone_lock, flags);
	if (!page)
		return NULL;
	atomic_set(&page->_refcount, 1);
	page->slab_cache = NULL;
	if (gfp & __GFP_ZERO)
		memset(page_address(page), 0, PAGE_SIZE << order);
	return page;
}

static void __free_one_page(unsigned long pfn, unsigned int order)
{
	for (; order < MAX_ORDER - 1; order++) {
		unsigned long buddy_pfn = pfn ^ (1UL << order);
		struct page *buddy = pfn_to_page(buddy_pfn);

		if (buddy_pfn >= max_pfn || !(buddy->flags & PG_buddy) || buddy->order != order)
			break;
		clear_free(buddy);
		pfn &= buddy_pfn;
	}
	set_free(pfn_to_page(pfn), order);
}

void __free_pages(struct page *page, unsigned int order)
{
	unsigned long flags;

	BUG_ON(page->flags & (PG_buddy | PG_reserved));
	atomic_set(&page->_refcount, 0);
	spin_lock_irqsave(&zone_lock, flags);
	__free_one_page(page_to_pfn(page), order);
	nr_free_pages.counter += 1L << order;
	spin_unlock_irqrestore(&zone_lock, flags);
}

void put_page(struct page *page)
{
	if (atomic_dec_and_test(&page->_refcount))
		__free_pages(page, page->order);
}

unsigned long __get_free_pages(gfp_t gfp, unsigned int order)
{
	struct page *page = alloc_pages(gfp, order);

	return page ? (unsigned long)page_address(page) : 0;
}

unsigned long get_zeroed_page(gfp_t gfp)
{
	return __get_free_pages(gfp | __GFP_ZERO, 0);
}

void free_pages(unsigned long addr, unsigned int order)
{
	if (addr)
		__free_pages(virt_to_page(addr), order);
}

static void __init free_range(unsigned long start_pfn, unsigned long end_pfn)
{
	for (unsigned long pfn = start_pfn; pfn < end_pfn; pfn++) {
		pfn_to_page(pfn)->flags = 0;
		__free_pages(pfn_to_page(pfn), 0);
	}
}

/* From here on memblock_alloc() must not be used: everything above what it gave out belongs to this allocator. */
void __init mem_init(void)
{
	max_pfn = ram_size >> PAGE_SHIFT;
	mem_map = memblock_alloc(max_pfn * sizeof(struct page), PAGE_SIZE);
	for (int order = 0; order < MAX_ORDER; order++)
		INIT_LIST_HEAD(&free_area[order]);
	/* A reserved page keeps a reference that nobody puts: the pages of the initramfs are mapped into programs too. */
	for (unsigned long pfn = 0; pfn < max_pfn; pfn++) {
		pfn_to_page(pfn)->flags = PG_reserved;
		atomic_set(&pfn_to_page(pfn)->_refcount, 1);
	}
	free_range(FREE_RAM_START >> PAGE_SHIFT, KERNEL_TEXT_PHYS >> PAGE_SHIFT);
	free_range(memblock_end() >> PAGE_SHIFT, max_pfn);
	pr_info("Memory: %ldK/%luK available\n", nr_free_pages.counter * 4, ram_size >> 10);
}
