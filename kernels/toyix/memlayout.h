/*
 * memlayout.h: the memory map.
 *
 *   virtual                                       what                                               rights
 *   0x0000000000400000                            user text, data, bss, heap (brk)                   as the ELF says
 *                      - 0x00007fffeffff000       mmap area, from the top down                       as asked
 *                      - 0x00007ffffffff000       user stack, grows down, at most 1 MiB              RW NX
 *   0xffff888000000000 + RAM                      direct map: physical address p is at PAGE_OFFSET+p RW NX
 *   0xffffc90000000000                            kernel stacks, 16 KiB each, a hole under each      RW NX
 *   0xffffffff81000000  (physical 0x100000)       kernel text                                        RX
 *                                                 rodata, tables                                     R  NX
 *                                                 data, per-CPU template, bss                        RW NX
 *   0xffffffffa0000000  (64 pages)                module area: kprobe slots, JIT code, trampolines   RX
 *
 *   physical                                      what
 *   0x00001000                                    boot parameters
 *   0x00002000                                    the loader's page tables
 *   0x00010000 - 0x000fffff                       page allocator
 *   0x00100000                                    the image
 *   after the image                               boot page tables, per-CPU areas, module area, bpf area, struct pages
 *   then                                          page allocator
 */
#ifndef _MEMLAYOUT_H
#define _MEMLAYOUT_H

#define PAGE_SHIFT		12
#define PAGE_SIZE		0x1000
#define PMD_SIZE		0x200000

#define PAGE_OFFSET		0xffff888000000000
#define VMALLOC_START		0xffffc90000000000
#define KERNEL_TEXT_START	0xffffffff81000000
#define KERNEL_TEXT_PHYS	0x100000
#define KERNEL_MAP_OFFSET	(KERNEL_TEXT_START - KERNEL_TEXT_PHYS)
#define MODULES_VADDR		0xffffffffa0000000
#define MODULES_PAGES		64
#define BPF_AREA_PAGES		1024
#define FREE_RAM_START		0x10000

#define TASK_SIZE_MAX		0x00007ffffffff000
#define STACK_TOP		TASK_SIZE_MAX
#define STACK_SIZE_MAX		0x100000
#define MMAP_TOP		(STACK_TOP - 0x10000000)

/* A stack slot is twice the stack: the lower half is never mapped, so an overflow faults at once. */
#define THREAD_SIZE		0x4000
#define STACK_SLOT_SIZE		(2 * THREAD_SIZE)

#ifndef __ASSEMBLER__
#define PAGE_MASK		(~(PAGE_SIZE - 1UL))
#define PAGE_ALIGN(x)		ALIGN((unsigned long)(x), PAGE_SIZE)
#define __va(pa)		((void *)((unsigned long)(pa) + PAGE_OFFSET))
/* The image has two virtual addresses, a direct-map one and the one it is linked at. */
#define __pa(va)		__phys_addr((unsigned long)(va))
static inline unsigned long __phys_addr(unsigned long va)
{
	return va >= KERNEL_TEXT_START ? va - KERNEL_MAP_OFFSET : va - PAGE_OFFSET;
}
#endif

#endif
