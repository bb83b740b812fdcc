/* binfmts.h: a program on its way to being run: from execve's arguments to the first instruction. */
#ifndef _BINFMTS_H
#define _BINFMTS_H

#include "types.h"

#define BINPRM_BUF_SIZE	256
#define MAX_ARG_SIZE	(4 * 4096)	/* all strings of argv and envp together */

struct file;
struct mm_struct;

struct linux_binprm {
	struct file *file;
	const char *filename;
	struct mm_struct *mm;		/* the address space to be */
	int argc, envc;
	/* The strings of argv, then those of envp, each with its NUL: the old address space they came from will be gone. */
	char *strings;
	size_t strings_len;
	char buf[BINPRM_BUF_SIZE];	/* the file's first bytes */
};

/* 0 or -errno; after begin_new_exec() there is no way back and an error kills. */
int load_elf_binary(struct linux_binprm *bprm);
int begin_new_exec(struct linux_binprm *bprm);
int setup_arg_pages(struct linux_binprm *bprm);

#endif
