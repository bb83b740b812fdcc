/* string.c: strings and memory. gcc itself calls memcpy and memset for large copies. */
#include "libc.h"

void *memset(void *at, int byte, size_t size)
{
	unsigned char *p = at;

	while (size--)
		*p++ = byte;
	return at;
}

void *memcpy(void *to, const void *from, size_t size)
{
	unsigned char *d = to;
	const unsigned char *s = from;

	while (size--)
		*d++ = *s++;
	return to;
}

size_t strlen(const char *s)
{
	const char *end = s;

	while (*end)
		end++;
	return end - s;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t size)
{
	for (; size; a++, b++, size--)
		if (!*a || *a != *b)
			return (unsigned char)*a - (unsigned char)*b;
	return 0;
}

char *strchr(const char *s, int c)
{
	for (; *s != c; s++)
		if (!*s)
			return NULL;
	return (char *)s;
}

long strtonum(const char *s, const char **end)
{
	long value = 0;

	*end = s;
	while (**end >= '0' && **end <= '9')
		value = value * 10 + *(*end)++ - '0';
	return *end == s ? -1 : value;
}
