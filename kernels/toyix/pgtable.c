/* pgtable.c: walking, making and freeing the four levels of page tables. */
#include "mm.h"
#include "printk.h"
#include "processor.h"
#include "string.h"

/* Kernel tables are made at boot only, before the page allocator exists. */
static bool slab_is_available(void) { return mem_map; }

static u64 *table_alloc(void)
{
	if (slab_is_available())
		return (u64 *)get_zeroed_page(GFP_KERNEL);
	return memblock_alloc(PAGE_SIZE, PAGE_SIZE);
}

/* The last-level entry of addr. NULL: its table does not exist (and create was not asked for, or memory is short). */
pte_t *pte_lookup(pgd_t *pgd, unsigned long addr, bool create)
{
	u64 *table = pgd;

	for (int shift = 39; shift > PAGE_SHIFT; shift -= 9) {
		u64 *entry = &table[addr >> shift & 511];

		if (!(*entry & _PAGE_PRESENT)) {
			u64 *new = create ? table_alloc() : NULL;

			if (!new)
				return NULL;
			/* Rights are decided in the last level alone. */
			*entry = __pa(new) | _PAGE_PRESENT | _PAGE_RW | _PAGE_USER;
		}
		table = __va(*entry & PTE_PFN_MASK);
	}
	return &table[addr >> PAGE_SHIFT & 511];
}

void kernel_map(unsigned long va, unsigned long pa, unsigned long size, u64 prot)
{
	for (unsigned long at = 0; at < size; at += PAGE_SIZE)
		*pte_lookup(init_top_pgt, va + at, true) = (pa + at) | prot;
}

/* The upper half is the kernel's, the same tables for all: what is mapped there below the top level is seen by everyone. */
pgd_t *pgd_alloc(void)
{
	pgd_t *pgd = (pgd_t *)get_zeroed_page(GFP_KERNEL);

	if (pgd)
		memcpy(pgd + 256, init_top_pgt + 256, 256 * sizeof(*pgd));
	return pgd;
}

void pgd_free(pgd_t *pgd)
{
	free_page((unsigned long)pgd);
}

static void free_level(u64 *table, int level, int entries)
{
	for (int i = 0; i < entries; i++) {
		u64 *next = __va(table[i] & PTE_PFN_MASK);

		if (!(table[i] & _PAGE_PRESENT))
			continue;
		if (level > 2)
			free_level(next, level - 1, 512);
		free_page((unsigned long)next);
		table[i] = 0;
	}
}

/* The user half's tables; their pages have been unmapped before. */
void free_pgtables(pgd_t *pgd)
{
	free_level(pgd, 4, 256);
}

void load_cr3(pgd_t *pgd)
{
	__asm__ __volatile__("movq %0, %%cr3" : : "r"(__pa(pgd)) : "memory");
}

void flush_tlb_page(unsigned long addr)
{
	__asm__ __volatile__("invlpg (%0)" : : "r"(addr) : "memory");
}

void flush_tlb_all_local(void)
{
	__asm__ __volatile__("movq %0, %%cr3" : : "r"(read_cr3()) : "memory");
}
