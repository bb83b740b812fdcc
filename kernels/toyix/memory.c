/*
 * memory.c: filling page tables. Nothing is mapped before it is touched: a fault finds out what belongs there, zeroes, a
 * page of a file, or a copy of a page that was shared since fork.
 */
#include "mm.h"
#include "printk.h"
#include "sched.h"
#include "string.h"

static struct page *pte_page(pte_t pte) { return phys_to_page(pte & PTE_PFN_MASK); }

static pte_t mk_pte(struct page *page, struct vm_area_struct *vma, bool writable)
{
	return page_to_phys(page) | _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED |
	       (writable ? _PAGE_RW | _PAGE_DIRTY : 0) | (vma->vm_flags & VM_EXEC ? 0 : _PAGE_NX);
}

static void set_pte(pte_t *ptep, pte_t pte, unsigned long address)
{
	WRITE_ONCE(*ptep, pte);
	flush_tlb_page(address);
}

static noinline unsigned int do_anonymous_page(struct vm_area_struct *vma, unsigned long address, pte_t *pte)
{
	struct page *page = alloc_page(GFP_USER | __GFP_ZERO);

	if (!page)
		return VM_FAULT_OOM;
	vma->vm_mm->rss++;
	set_pte(pte, mk_pte(page, vma, vma->vm_flags & VM_WRITE), address);
	return 0;
}

/*
 * The file's own page, read-only, for code and constants of programs. It must not be a copy: code that always lies in the
 * same physical pages is translated once by the emulated CPU, for every process that runs it.
 */
static noinline unsigned int do_read_fault(struct vm_area_struct *vma, unsigned long address, pte_t *pte, struct page *page)
{
	vma->vm_mm->rss++;
	set_pte(pte, mk_pte(page, vma, false), address);
	return 0;
}

static struct page *copy_of(struct page *old)
{
	struct page *new = alloc_page(GFP_USER);

	if (new)
		memcpy(page_address(new), page_address(old), PAGE_SIZE);
	put_page(old);
	return new;
}

/* A write to a private mapping of a file: the process gets a copy at once. */
static noinline unsigned int do_cow_fault(struct vm_area_struct *vma, unsigned long address, pte_t *pte, struct page *page)
{
	struct page *new = copy_of(page);

	if (!new)
		return VM_FAULT_OOM;
	vma->vm_mm->rss++;
	set_pte(pte, mk_pte(new, vma, true), address);
	return 0;
}

static noinline unsigned int do_fault(struct vm_area_struct *vma, unsigned long address, unsigned int flags, pte_t *pte)
{
	pgoff_t index = vma->vm_pgoff + ((address - vma->vm_start) >> PAGE_SHIFT);
	struct page *page = filemap_get_page(vma->vm_file, index);

	if (!page)
		return VM_FAULT_SIGBUS;
	if (flags & FAULT_FLAG_WRITE)
		return do_cow_fault(vma, address, pte, page);
	page = uprobe_text_page(vma, index, page);
	if (!page)
		return VM_FAULT_OOM;
	return do_read_fault(vma, address, pte, page);
}

/* A write to a page that is present but read-only in a writable area. The last user simply gets the right back. */
static noinline unsigned int do_wp_page(struct vm_area_struct *vma, unsigned long address, pte_t *pte)
{
	struct page *page = pte_page(*pte);

	if (page_count(page) > 1) {
		page = copy_of(page);
		if (!page) {
			*pte = 0;
			return VM_FAULT_OOM;
		}
	}
	set_pte(pte, mk_pte(page, vma, true), address);
	return 0;
}

static noinline unsigned int handle_pte_fault(struct vm_area_struct *vma, unsigned long address, unsigned int flags, pte_t *pte)
{
	if (!(*pte & _PAGE_PRESENT))
		return vma->vm_file ? do_fault(vma, address, flags, pte) : do_anonymous_page(vma, address, pte);
	if ((flags & FAULT_FLAG_WRITE) && !(*pte & _PAGE_RW))
		return do_wp_page(vma, address, pte);
	/* The entry allows it: this CPU had an old one in its TLB. */
	flush_tlb_page(address);
	return 0;
}

unsigned int handle_mm_fault(struct vm_area_struct *vma, unsigned long address, unsigned int flags, struct pt_regs *regs)
{
	pte_t *pte = pte_lookup(vma->vm_mm->pgd, address, true);

	current->min_flt++;
	return pte ? handle_pte_fault(vma, address & PAGE_MASK, flags, pte) : VM_FAULT_OOM;
}

/* fork: both sides keep the page, and neither may write until a fault gives one of them a copy. */
int copy_page_range(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma)
{
	for (unsigned long addr = src_vma->vm_start; addr < src_vma->vm_end; addr += PAGE_SIZE) {
		pte_t *src = pte_lookup(src_vma->vm_mm->pgd, addr, false), *dst;

		if (!src || !(*src & _PAGE_PRESENT))
			continue;
		dst = pte_lookup(dst_vma->vm_mm->pgd, addr, true);
		if (!dst)
			return -1;
		*src &= ~_PAGE_RW;
		*dst = *src;
		get_page(pte_page(*src));
		dst_vma->vm_mm->rss++;
	}
	return 0;
}

/* The caller flushes the TLB if the address space is in use. */
void unmap_page_range(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	for (unsigned long addr = start; addr < end; addr += PAGE_SIZE) {
		pte_t *pte = pte_lookup(mm->pgd, addr, false);

		if (!pte || !(*pte & _PAGE_PRESENT))
			continue;
		put_page(pte_page(*pte));
		*pte = 0;
		mm->rss--;
	}
}
