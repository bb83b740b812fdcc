/* string.h: memory and string functions (string.c), and number parsing. */
#ifndef _STRING_H
#define _STRING_H

#include "types.h"

void *memcpy(void *dest, const void *src, size_t n);
void *memmove(void *dest, const void *src, size_t n);
void *memset(void *s, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t n);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *s, const char *find);
/* Copies at most size - 1 bytes and always terminates; -E2BIG when the source did not fit. */
ssize_t strscpy(char *dest, const char *src, size_t size);

#endif
