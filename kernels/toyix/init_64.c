/*
 * init_64.c: memory at boot: the simple allocator that exists before any other, and the kernel's own page tables. (Linux:
 * mm/memblock.c, arch/x86/mm/init_64.c)
 */
#include "mm.h"
#include "printk.h"
#include "processor.h"
#include "string.h"

extern char _end[], _text[], _etext[], __start_rodata[], __end_rodata[], _sdata[];

unsigned long ram_size;
pgd_t init_top_pgt[512] __aligned(PAGE_SIZE) __section(".bss..page_aligned");

/* The host finds these areas by the four symbols and writes into them through physical memory. */
u64 module_area_phys, module_area_pages = MODULES_PAGES;
u64 bpf_area_phys, bpf_area_pages = BPF_AREA_PAGES;

static unsigned long memblock_next;

/* Zeroed memory that is never given back. The loader maps all of RAM at PAGE_OFFSET as we do, so the address holds on. */
void __init *memblock_alloc(size_t size, size_t align)
{
	unsigned long pa;

	if (!memblock_next)
		memblock_next = __pa(_end);
	pa = ALIGN(memblock_next, align);
	memblock_next = pa + size;
	if (memblock_next > ram_size)
		panic("memblock_alloc: %lu bytes do not fit into %lu", size, ram_size);
	return memset(__va(pa), 0, size);
}

unsigned long __init memblock_end(void)
{
	return PAGE_ALIGN(memblock_next);
}

/* Large pages for the direct map: everything there has the same rights. */
static void __init map_direct(unsigned long va, unsigned long pa)
{
	pgd_t *table = init_top_pgt;

	for (int shift = 39; shift > 21; shift -= 9) {
		u64 *entry = &table[va >> shift & 511];

		if (!*entry)
			*entry = __pa(memblock_alloc(PAGE_SIZE, PAGE_SIZE)) | _PAGE_PRESENT | _PAGE_RW | _PAGE_USER;
		table = __va(*entry & PTE_PFN_MASK);
	}
	table[va >> 21 & 511] = pa | PAGE_KERNEL | _PAGE_PSE;
}

static void __init map_image(char *start, char *end, u64 prot)
{
	kernel_map((unsigned long)start, __pa(start), PAGE_ALIGN(end - start), prot);
}

void __init paging_init(void)
{
	for (unsigned long pa = 0; pa < ram_size; pa += PMD_SIZE)
		map_direct(PAGE_OFFSET + pa, pa);
	map_image(_text, _etext, PAGE_KERNEL_ROX);
	map_image(__start_rodata, __end_rodata, PAGE_KERNEL_RO);
	map_image(_sdata, _end, PAGE_KERNEL);

	module_area_phys = __pa(memblock_alloc(MODULES_PAGES * PAGE_SIZE, PAGE_SIZE));
	/* Unused code bytes trap. */
	memset(__va(module_area_phys), 0xcc, MODULES_PAGES * PAGE_SIZE);
	kernel_map(MODULES_VADDR, module_area_phys, MODULES_PAGES * PAGE_SIZE, PAGE_KERNEL_ROX);
	bpf_area_phys = __pa(memblock_alloc(BPF_AREA_PAGES * PAGE_SIZE, PAGE_SIZE));
	vmalloc_init();
	load_cr3(init_top_pgt);
}
