/* binfmt_elf.c: static 64-bit ELF programs: what is mapped where, and what a new program finds on its stack. */
#include "binfmts.h"
#include "fs.h"
#include "mm.h"
#include "sched.h"
#include "string.h"
#include "uaccess.h"

struct elf64_hdr {
	unsigned char e_ident[16];	/*  0: 7f 'E' 'L' 'F', class 2, data 1 */
	u16 e_type;			/* 16: 2, executable */
	u16 e_machine;			/* 18: 62, x86-64 */
	u32 e_version;
	u64 e_entry;			/* 24 */
	u64 e_phoff;			/* 32 */
	u64 e_shoff;
	u32 e_flags;
	u16 e_ehsize;
	u16 e_phentsize;		/* 54 */
	u16 e_phnum;			/* 56 */
	u16 e_shentsize, e_shnum, e_shstrndx;
};

struct elf64_phdr {
	u32 p_type;			/*  0: 1, to be loaded */
	u32 p_flags;			/*  4: 1 execute, 2 write, 4 read */
	u64 p_offset;			/*  8 */
	u64 p_vaddr;			/* 16 */
	u64 p_paddr;
	u64 p_filesz;			/* 32 */
	u64 p_memsz;			/* 40 */
	u64 p_align;
};

#define PT_LOAD		1
#define PF_X		1
#define PF_W		2
#define PF_R		4
#define MAX_PHDRS	8

#define AT_NULL		0
#define AT_PHDR		3
#define AT_PHENT	4
#define AT_PHNUM	5
#define AT_PAGESZ	6
#define AT_ENTRY	9
#define AT_UID		11
#define AT_EUID		12
#define AT_GID		13
#define AT_EGID		14

static bool elf_check(const struct elf64_hdr *ex)
{
	return !memcmp(ex->e_ident, "\177ELF\2\1", 6) && ex->e_type == 2 && ex->e_machine == 62 &&
	       ex->e_phentsize == sizeof(struct elf64_phdr) && ex->e_phnum && ex->e_phnum <= MAX_PHDRS;
}

/* A linker leaves an empty segment behind where it dropped everything in it. */
static bool is_loaded(const struct elf64_phdr *p) { return p->p_type == PT_LOAD && p->p_memsz; }

static bool phdr_ok(const struct elf64_phdr *p)
{
	/* A page of the file is mapped as a whole, so both addresses must agree in their last 12 bits. */
	return p->p_filesz <= p->p_memsz && (p->p_vaddr & ~PAGE_MASK) == (p->p_offset & ~PAGE_MASK) &&
	       p->p_vaddr >= PAGE_SIZE && p->p_memsz < MMAP_TOP && p->p_vaddr < MMAP_TOP - p->p_memsz;
}

static unsigned long elf_prot(const struct elf64_phdr *p)
{
	return (p->p_flags & PF_R ? VM_READ : 0) | (p->p_flags & PF_W ? VM_WRITE : 0) | (p->p_flags & PF_X ? VM_EXEC : 0);
}

/*
 * One segment: its pages of the file, and zeroes up to p_memsz. Nothing is read now; the only page touched is the one that
 * holds both the end of the data and the start of the bss.
 */
static noinline int elf_map(struct file *file, const struct elf64_phdr *p)
{
	struct mm_struct *mm = current->mm;
	unsigned long start = p->p_vaddr & PAGE_MASK, prot = elf_prot(p);
	unsigned long file_end = p->p_vaddr + p->p_filesz, mem_end = PAGE_ALIGN(p->p_vaddr + p->p_memsz);
	unsigned long map_end = PAGE_ALIGN(file_end);

	if (!p->p_filesz)
		map_end = start;
	if (map_end > start && !mmap_region(mm, file, start, map_end - start, prot, p->p_offset >> PAGE_SHIFT))
		return -ENOMEM;
	if (mem_end > map_end && !mmap_region(mm, NULL, map_end, mem_end - map_end, prot, 0))
		return -ENOMEM;
	if (p->p_filesz && p->p_memsz > p->p_filesz && map_end > file_end && clear_user((void *)file_end, map_end - file_end))
		return -EFAULT;
	if (p->p_flags & PF_X) {
		mm->start_code = p->p_vaddr;
		mm->end_code = file_end;
	} else if (p->p_flags & PF_W) {
		mm->start_data = p->p_vaddr;
		mm->end_data = file_end;
	}
	if (mem_end > mm->brk)
		mm->start_brk = mm->brk = mem_end;
	return 0;
}

static bool put_word(unsigned long *sp, unsigned long value)
{
	bool ok = !put_user(value, (unsigned long __user *)*sp);

	*sp += sizeof(long);
	return ok;
}

/* A vector of n pointers to consecutive strings, and its NULL. Returns the address after the last string, 0 on a fault. */
static unsigned long put_vector(unsigned long *sp, unsigned long string, int n)
{
	while (n--) {
		if (!put_word(sp, string))
			return 0;
		string += strnlen_user((const char __user *)string, MAX_ARG_SIZE);
	}
	return put_word(sp, 0) ? string : 0;
}

/*
 * From the stack pointer up: argc, argv[], NULL, envp[], NULL, the auxiliary vector, and at the top of the stack the strings.
 * The ABI wants the stack pointer to be a multiple of 16 here.
 */
static noinline int create_elf_tables(struct linux_binprm *bprm, const struct elf64_hdr *ex, unsigned long phdr_addr,
				      unsigned long *stack)
{
	const struct cred *cred = current_cred();
	const unsigned long auxv[] = {
		AT_PHDR, phdr_addr, AT_PHENT, sizeof(struct elf64_phdr), AT_PHNUM, ex->e_phnum, AT_PAGESZ, PAGE_SIZE,
		AT_ENTRY, ex->e_entry, AT_UID, cred->uid.val, AT_EUID, cred->euid.val, AT_GID, cred->gid.val,
		AT_EGID, cred->egid.val, AT_NULL, 0,
	};
	struct mm_struct *mm = current->mm;
	unsigned long strings = (STACK_TOP - 8 - bprm->strings_len) & ~15UL;
	unsigned long words = 1 + bprm->argc + 1 + bprm->envc + 1 + ARRAY_SIZE(auxv);
	unsigned long sp = (strings - words * sizeof(long)) & ~15UL;

	if (copy_to_user((void __user *)strings, bprm->strings, bprm->strings_len))
		return -EFAULT;
	*stack = sp;
	mm->arg_start = strings;
	if (!put_word(&sp, bprm->argc))
		return -EFAULT;
	mm->arg_end = mm->env_start = put_vector(&sp, strings, bprm->argc);
	mm->env_end = put_vector(&sp, mm->env_start, bprm->envc);
	if (!mm->arg_end || !mm->env_end)
		return -EFAULT;
	return copy_to_user((void __user *)sp, auxv, sizeof(auxv)) ? -EFAULT : 0;
}

int load_elf_binary(struct linux_binprm *bprm)
{
	const struct elf64_hdr *ex = (const struct elf64_hdr *)bprm->buf;
	struct elf64_phdr phdrs[MAX_PHDRS];
	unsigned long phdr_addr = 0, sp;
	loff_t pos = ex->e_phoff;
	ssize_t size;
	int retval;

	if (!elf_check(ex))
		return -ENOEXEC;
	size = ex->e_phnum * sizeof(phdrs[0]);
	if (kernel_read(bprm->file, phdrs, size, &pos) != size)
		return -ENOEXEC;
	for (int i = 0; i < ex->e_phnum; i++)
		if (is_loaded(&phdrs[i]) && !phdr_ok(&phdrs[i]))
			return -ENOEXEC;

	retval = begin_new_exec(bprm);
	if (retval)
		return retval;
	retval = setup_arg_pages(bprm);
	if (retval)
		return retval;
	for (int i = 0; i < ex->e_phnum; i++) {
		const struct elf64_phdr *p = &phdrs[i];

		if (!is_loaded(p))
			continue;
		retval = elf_map(bprm->file, p);
		if (retval)
			return retval;
		if (ex->e_phoff >= p->p_offset && ex->e_phoff < p->p_offset + p->p_filesz)
			phdr_addr = p->p_vaddr + ex->e_phoff - p->p_offset;
	}
	retval = create_elf_tables(bprm, ex, phdr_addr, &sp);
	if (retval)
		return retval;
	start_thread(task_pt_regs(current), ex->e_entry, sp);
	return 0;
}
