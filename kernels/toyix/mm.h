/* mm.h: physical pages, address spaces, page faults. */
#ifndef _MM_H
#define _MM_H

#include "atomic.h"
#include "list.h"
#include "memlayout.h"
#include "ptrace.h"
#include "slab.h"
#include "spinlock.h"
#include "uprobes.h"

struct file;
struct linux_binprm;

/* One for each page of RAM, in the array mem_map. */
struct page {
	unsigned int flags;		/* PG_ bits */
	atomic_t _refcount;		/* 0: free */
	struct list_head lru;		/* free list of its order, or its slab's partial list */
	struct kmem_cache *slab_cache;	/* the cache whose objects it holds */
	void *freelist;			/* first free object of a slab page */
	unsigned short inuse;		/* objects in use */
	unsigned char order;		/* of the free or allocated block that starts here */
};
#define PG_buddy	1u		/* heads a free block */
#define PG_reserved	2u		/* never given out */

extern struct page *mem_map;
extern unsigned long max_pfn;
extern atomic64_t nr_free_pages;

#define page_to_pfn(page)	((unsigned long)((page) - mem_map))
#define pfn_to_page(pfn)	(mem_map + (pfn))
#define page_to_phys(page)	(page_to_pfn(page) << PAGE_SHIFT)
#define phys_to_page(pa)	pfn_to_page((unsigned long)(pa) >> PAGE_SHIFT)
#define page_address(page)	__va(page_to_phys(page))
#define virt_to_page(va)	phys_to_page(__pa(va))

struct page *alloc_pages(gfp_t gfp, unsigned int order);
void __free_pages(struct page *page, unsigned int order);
#define alloc_page(gfp)		alloc_pages(gfp, 0)
#define __free_page(page)	__free_pages(page, 0)
unsigned long __get_free_pages(gfp_t gfp, unsigned int order);
void free_pages(unsigned long addr, unsigned int order);
unsigned long get_zeroed_page(gfp_t gfp);
#define __get_free_page(gfp)	__get_free_pages(gfp, 0)
#define free_page(addr)		free_pages(addr, 0)

static inline void get_page(struct page *page) { atomic_inc(&page->_refcount); }
void put_page(struct page *page);
static inline int page_count(struct page *page) { return atomic_read(&page->_refcount); }

/* Boot: before the page allocator is up, memory is taken from the end of the image upwards. */
void *memblock_alloc(size_t size, size_t align);
unsigned long memblock_end(void);
void paging_init(void);
void mem_init(void);
void vmalloc_init(void);
extern unsigned long ram_size;
extern u64 module_area_phys, module_area_pages;
extern u64 bpf_area_phys, bpf_area_pages;

void *alloc_thread_stack(void);
void free_thread_stack(void *stack);

/* Page table entries, the same bits on every level. */
typedef u64 pte_t;
typedef u64 pgd_t;
#define _PAGE_PRESENT	0x001UL
#define _PAGE_RW	0x002UL
#define _PAGE_USER	0x004UL
#define _PAGE_ACCESSED	0x020UL
#define _PAGE_DIRTY	0x040UL
#define _PAGE_PSE	0x080UL
#define _PAGE_NX	(1UL << 63)
#define PTE_PFN_MASK	0x000ffffffffff000UL
#define PAGE_KERNEL	(_PAGE_PRESENT | _PAGE_RW | _PAGE_NX)
#define PAGE_KERNEL_RO	(_PAGE_PRESENT | _PAGE_NX)
#define PAGE_KERNEL_ROX	(_PAGE_PRESENT)

extern pgd_t init_top_pgt[512];
pte_t *pte_lookup(pgd_t *pgd, unsigned long addr, bool create);
void kernel_map(unsigned long va, unsigned long pa, unsigned long size, u64 prot);
pgd_t *pgd_alloc(void);
void pgd_free(pgd_t *pgd);
void free_pgtables(pgd_t *pgd);
void load_cr3(pgd_t *pgd);
void flush_tlb_page(unsigned long addr);
void flush_tlb_all_local(void);

/* An address space. It belongs to one task (or to a vfork child and its stopped parent), so it needs no lock. */
struct mm_struct {
	struct list_head mmap;		/* areas, by address */
	pgd_t *pgd;
	atomic_t mm_users;		/* tasks that live here */
	atomic_t mm_count;		/* plus CPUs that have merely not left its page tables yet */
	int map_count;
	unsigned long total_vm;		/* pages */
	unsigned long rss;		/* pages present */
	unsigned long start_code, end_code, start_data, end_data;
	unsigned long start_brk, brk, start_stack;
	unsigned long arg_start, arg_end, env_start, env_end;
	struct file *exe_file;
	unsigned long flags;		/* MMF_ */
	struct uprobes_state uprobes_state;
};

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;		/* first byte after */
	struct mm_struct *vm_mm;
	unsigned long vm_flags;
	unsigned long vm_pgoff;		/* of vm_start in vm_file, pages */
	struct file *vm_file;
	struct list_head vm_list;
};
#define VM_READ		0x1UL
#define VM_WRITE	0x2UL
#define VM_EXEC		0x4UL
#define VM_SHARED	0x8UL
#define VM_GROWSDOWN	0x100UL
#define VM_DONTCOPY	0x20000UL	/* a child does not get it */

#define PROT_READ	1UL
#define PROT_WRITE	2UL
#define PROT_EXEC	4UL
#define MAP_SHARED	0x01UL
#define MAP_PRIVATE	0x02UL
#define MAP_FIXED	0x10UL
#define MAP_ANONYMOUS	0x20UL

#define MMF_HAS_UPROBES	BIT(19)		/* there may be int3s in its text that are not the program's */

extern struct mm_struct init_mm;

struct mm_struct *mm_alloc(void);
struct mm_struct *dup_mm(struct mm_struct *oldmm);
void mmput(struct mm_struct *mm);
void mmdrop(struct mm_struct *mm);
static inline void mmgrab(struct mm_struct *mm) { atomic_inc(&mm->mm_count); }
static inline void mmget(struct mm_struct *mm) { atomic_inc(&mm->mm_users); }

struct vm_area_struct *find_vma(struct mm_struct *mm, unsigned long addr);
struct vm_area_struct *mmap_region(struct mm_struct *mm, struct file *file, unsigned long addr, unsigned long len,
				   unsigned long vm_flags, unsigned long pgoff);
unsigned long do_mmap(struct file *file, unsigned long addr, unsigned long len, unsigned long prot,
		      unsigned long flags, unsigned long pgoff);
unsigned long get_unmapped_area(struct mm_struct *mm, unsigned long len);
int do_munmap(struct mm_struct *mm, unsigned long start, unsigned long len);
void exit_mmap(struct mm_struct *mm);
struct vm_area_struct *vm_area_dup(struct vm_area_struct *orig);
void insert_vm_struct(struct mm_struct *mm, struct vm_area_struct *vma);
int expand_stack(struct vm_area_struct *vma, unsigned long address);
int copy_page_range(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma);
void unmap_page_range(struct mm_struct *mm, unsigned long start, unsigned long end);

#define FAULT_FLAG_WRITE	1u
#define FAULT_FLAG_USER		2u
#define FAULT_FLAG_INSTRUCTION	4u
#define VM_FAULT_OOM		1u
#define VM_FAULT_SIGBUS		4u
unsigned int handle_mm_fault(struct vm_area_struct *vma, unsigned long address, unsigned int flags, struct pt_regs *regs);

/*
 * The file system's side (ramfs.c): page number index of the file, with a reference taken; NULL past the end. It is the
 * file's own page, never a copy: programs are run from it in place.
 */
struct page *filemap_get_page(struct file *file, pgoff_t index);

struct exception_table_entry;
bool fixup_exception(struct pt_regs *regs);
const struct exception_table_entry *search_exception_tables(unsigned long addr);

#endif
