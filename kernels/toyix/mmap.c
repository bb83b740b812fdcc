/* mmap.c: the areas of an address space: a list by address of what is mapped where, with which rights. */
#include "fdtable.h"
#include "mm.h"
#include "sched.h"
#include "syscalls.h"

/* The first area that ends above addr; it need not contain addr. */
struct vm_area_struct *find_vma(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma;

	list_for_each_entry(vma, &mm->mmap, vm_list)
		if (vma->vm_end > addr)
			return vma;
	return NULL;
}

static bool range_is_free(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct vm_area_struct *vma = find_vma(mm, start);

	return !vma || vma->vm_start >= end;
}

static unsigned long vma_pages(struct vm_area_struct *vma) { return (vma->vm_end - vma->vm_start) >> PAGE_SHIFT; }

void insert_vm_struct(struct mm_struct *mm, struct vm_area_struct *vma)
{
	struct vm_area_struct *next = find_vma(mm, vma->vm_start);

	list_add_tail(&vma->vm_list, next ? &next->vm_list : &mm->mmap);
	mm->map_count++;
	mm->total_vm += vma_pages(vma);
}

static void remove_vma(struct vm_area_struct *vma)
{
	vma->vm_mm->map_count--;
	vma->vm_mm->total_vm -= vma_pages(vma);
	list_del(&vma->vm_list);
	if (vma->vm_file)
		fput(vma->vm_file);
	kfree(vma);
}

struct vm_area_struct *vm_area_dup(struct vm_area_struct *orig)
{
	struct vm_area_struct *new = kmalloc(sizeof(*new), GFP_KERNEL);

	if (!new)
		return NULL;
	*new = *orig;
	if (new->vm_file)
		get_file(new->vm_file);
	return new;
}

/* Puts an area into a hole. Every argument is page-aligned; the caller has looked that the hole is one. */
struct vm_area_struct *mmap_region(struct mm_struct *mm, struct file *file, unsigned long addr, unsigned long len,
				   unsigned long vm_flags, unsigned long pgoff)
{
	struct vm_area_struct *vma = kzalloc(sizeof(*vma), GFP_KERNEL);

	if (!vma)
		return NULL;
	vma->vm_mm = mm;
	vma->vm_start = addr;
	vma->vm_end = addr + len;
	vma->vm_flags = vm_flags;
	vma->vm_pgoff = pgoff;
	vma->vm_file = file ? get_file(file) : NULL;
	insert_vm_struct(mm, vma);
	return vma;
}

/* The stack: extended down to the page that was touched, as far as the limit and the next area allow. */
int expand_stack(struct vm_area_struct *vma, unsigned long address)
{
	unsigned long start = address & PAGE_MASK;

	if (!(vma->vm_flags & VM_GROWSDOWN) || vma->vm_end - start > STACK_SIZE_MAX)
		return -ENOMEM;
	vma->vm_mm->total_vm += (vma->vm_start - start) >> PAGE_SHIFT;
	vma->vm_start = start;
	return 0;
}

/* From the top down, the first hole that is large enough. */
unsigned long get_unmapped_area(struct mm_struct *mm, unsigned long len)
{
	unsigned long end = MMAP_TOP;
	struct vm_area_struct *vma;

	list_for_each_entry_reverse(vma, &mm->mmap, vm_list) {
		if (vma->vm_start >= end)
			continue;
		if (vma->vm_end <= end && end - vma->vm_end >= len)
			break;
		end = vma->vm_start;
	}
	return end > len ? end - len : -ENOMEM;
}

/* Cuts an area in two at addr; vma keeps the lower part. */
static int split_vma(struct vm_area_struct *vma, unsigned long addr)
{
	struct vm_area_struct *new = vm_area_dup(vma);

	if (!new)
		return -ENOMEM;
	new->vm_start = addr;
	if (new->vm_file)
		new->vm_pgoff += (addr - vma->vm_start) >> PAGE_SHIFT;
	vma->vm_mm->total_vm -= vma_pages(new);
	vma->vm_end = addr;
	insert_vm_struct(vma->vm_mm, new);
	return 0;
}

int do_munmap(struct mm_struct *mm, unsigned long start, unsigned long len)
{
	unsigned long end = start + PAGE_ALIGN(len);
	struct vm_area_struct *vma, *next;

	if ((start & ~PAGE_MASK) || start > TASK_SIZE_MAX || !len || len > TASK_SIZE_MAX - start)
		return -EINVAL;
	list_for_each_entry_safe(vma, next, &mm->mmap, vm_list) {
		if (vma->vm_end <= start || vma->vm_start >= end)
			continue;
		if (vma->vm_end > end) {
			if (split_vma(vma, end))
				return -ENOMEM;
		}
		if (vma->vm_start < start) {
			if (split_vma(vma, start))
				return -ENOMEM;
			vma = list_next_entry(vma, vm_list);
		}
		next = list_next_entry(vma, vm_list);
		unmap_page_range(mm, vma->vm_start, vma->vm_end);
		remove_vma(vma);
	}
	if (mm == current->mm)
		flush_tlb_all_local();
	return 0;
}

unsigned long do_mmap(struct file *file, unsigned long addr, unsigned long len, unsigned long prot,
		      unsigned long flags, unsigned long pgoff)
{
	struct mm_struct *mm = current->mm;

	if (!len || len > TASK_SIZE_MAX || (addr & ~PAGE_MASK))
		return -EINVAL;
	/* Writes to a shared mapping would have to reach the file or the other process; there is no such path. */
	if ((flags & MAP_SHARED) && (prot & PROT_WRITE))
		return -ENODEV;
	len = PAGE_ALIGN(len);
	if (flags & MAP_FIXED) {
		int err = do_munmap(mm, addr, len);

		if (err)
			return err;
	} else if (!addr || addr + len > MMAP_TOP || !range_is_free(mm, addr, addr + len)) {
		addr = get_unmapped_area(mm, len);
		if (IS_ERR_VALUE(addr))
			return addr;
	}
	return mmap_region(mm, file, addr, len, prot & (VM_READ | VM_WRITE | VM_EXEC), pgoff) ? addr : (unsigned long)-ENOMEM;
}

void exit_mmap(struct mm_struct *mm)
{
	struct vm_area_struct *vma, *next;

	list_for_each_entry_safe(vma, next, &mm->mmap, vm_list) {
		unmap_page_range(mm, vma->vm_start, vma->vm_end);
		remove_vma(vma);
	}
	free_pgtables(mm->pgd);
}

SYSCALL_DEFINE6(mmap, unsigned long, addr, unsigned long, len, unsigned long, prot, unsigned long, flags,
		unsigned long, fd, unsigned long, off)
{
	struct file *file = NULL;
	unsigned long ret;

	if (off & ~PAGE_MASK)
		return -EINVAL;
	if (!(flags & MAP_ANONYMOUS)) {
		file = fget(fd);
		if (!file)
			return -EBADF;
	}
	ret = do_mmap(file, addr, len, prot, flags, off >> PAGE_SHIFT);
	if (file)
		fput(file);
	return ret;
}

SYSCALL_DEFINE2(munmap, unsigned long, addr, size_t, len)
{
	return do_munmap(current->mm, addr, len);
}

/* The heap's end. Answers with where it is, also when it could not be moved. */
SYSCALL_DEFINE1(brk, unsigned long, brk)
{
	struct mm_struct *mm = current->mm;
	unsigned long oldbrk = PAGE_ALIGN(mm->brk), newbrk = PAGE_ALIGN(brk);

	if (brk < mm->start_brk || brk > MMAP_TOP)
		return mm->brk;
	if (newbrk < oldbrk)
		do_munmap(mm, newbrk, oldbrk - newbrk);
	else if (newbrk > oldbrk) {
		struct vm_area_struct *heap = find_vma(mm, oldbrk - 1);

		if (!range_is_free(mm, oldbrk, newbrk))
			return mm->brk;
		if (heap && heap->vm_end == oldbrk && !heap->vm_file && oldbrk > mm->start_brk) {
			heap->vm_end = newbrk;
			mm->total_vm += (newbrk - oldbrk) >> PAGE_SHIFT;
		} else if (!mmap_region(mm, NULL, oldbrk, newbrk - oldbrk, VM_READ | VM_WRITE, 0)) {
			return mm->brk;
		}
	}
	return mm->brk = brk;
}
