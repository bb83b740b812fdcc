/* uaccess.c: the checked forms of the copies in uaccess.S, and strings. */
#include "uaccess.h"
#include "string.h"

unsigned long __clear_user(void *to, unsigned long len);

unsigned long _copy_to_user(void __user *to, const void *from, unsigned long n)
{
	return access_ok(to, n) ? copy_user_generic(to, from, n) : n;
}

/* What could not be read reads as zero, so that no old kernel memory gets around. */
unsigned long _copy_from_user(void *to, const void __user *from, unsigned long n)
{
	unsigned long left = access_ok(from, n) ? copy_user_generic(to, from, n) : n;

	if (left)
		memset((char *)to + n - left, 0, left);
	return left;
}

unsigned long clear_user(void __user *to, unsigned long n)
{
	return access_ok(to, n) ? __clear_user(to, n) : n;
}

/* One byte; false when it can not be read. */
static __always_inline bool get_user_byte(char *c, const char __user *p)
{
	int ok = 0, value = 0;

	__asm__ __volatile__("1:	movzbl %2, %1\n"
			     "	movl $1, %0\n"
			     "2:\n"
			     _ASM_EXTABLE(1b, 2b)
			     : "+r"(ok), "+r"(value) : "m"(*p));
	*c = value;
	return ok;
}

long strncpy_from_user(char *dst, const char __user *src, long count)
{
	for (long i = 0; i < count; i++) {
		if (!access_ok(src + i, 1) || !get_user_byte(&dst[i], src + i))
			return -EFAULT;
		if (!dst[i])
			return i;
	}
	return count;
}

long strnlen_user(const char __user *src, long count)
{
	char c;

	for (long i = 0; i < count; i++) {
		if (!access_ok(src + i, 1) || !get_user_byte(&c, src + i))
			return 0;
		if (!c)
			return i + 1;
	}
	return count + 1;
}
