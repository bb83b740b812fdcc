/*
 * uaccess.h: reading and writing user memory. An access that faults for good does not oops: the faulting instruction is
 * listed in __ex_table with the place to go on at.
 */
#ifndef _UACCESS_H
#define _UACCESS_H

#include "compiler.h"
#include "errno.h"
#include "memlayout.h"

/* Linux's 12-byte entry: distances from the fields themselves. */
struct exception_table_entry {
	int insn;	/* 0 */
	int fixup;	/* 4 */
	int data;	/* 8: EX_TYPE_DEFAULT: jump to the fixup; EX_TYPE_BPF: see ex_handler_bpf() */
};
#define EX_TYPE_DEFAULT	1
#define EX_TYPE_BPF	7

#define _ASM_EXTABLE(from, to)				\
	".pushsection __ex_table,\"a\"\n"		\
	".balign 4\n"					\
	".long (" #from ") - .\n"			\
	".long (" #to ") - .\n"				\
	".long 1\n"					\
	".popsection\n"

static __always_inline bool access_ok(const void *ptr, unsigned long size)
{
	return size <= TASK_SIZE_MAX && (unsigned long)ptr <= TASK_SIZE_MAX - size;
}

/* Both return how many bytes could not be copied (uaccess.S). */
unsigned long copy_user_generic(void *to, const void *from, unsigned long len);
unsigned long clear_user(void __user *to, unsigned long n);
unsigned long _copy_to_user(void __user *to, const void *from, unsigned long n);
unsigned long _copy_from_user(void *to, const void __user *from, unsigned long n);
#define copy_to_user	_copy_to_user
#define copy_from_user	_copy_from_user

/* Length without the NUL, count if there was none, or -EFAULT. */
long strncpy_from_user(char *dst, const char __user *src, long count);
/* Length with the NUL; 0 on a fault, more than count if too long. */
long strnlen_user(const char __user *src, long count);

#define get_user(x, ptr) ({							\
	unsigned long __gu = 0;						\
	long __gu_err = copy_from_user(&__gu, ptr, sizeof(*(ptr))) ? -EFAULT : 0;	\
	(x) = (typeof(x))__gu;							\
	__gu_err;								\
})
#define put_user(x, ptr) ({							\
	typeof(*(ptr)) __pu = (x);						\
	copy_to_user(ptr, &__pu, sizeof(__pu)) ? -EFAULT : 0;			\
})

#endif
