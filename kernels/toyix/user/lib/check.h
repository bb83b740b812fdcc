/* check.h: for programs that ask the kernel something and print each answer that is wrong. */
#pragma once

#include "libc.h"

static int wrong;

static void check(const char *file, int line, const char *text, long got, long want)
{
	if (got == want)
		return;
	dprintf(2, "%s: line %d: %s: %ld and not %ld\n", file, line, text, got, want);
	wrong++;
}

#define IS(call, want)		check(__FILE__, __LINE__, #call, (long)(call), (long)(want))
#define FAILS(call, error)	(errno = 0, check(__FILE__, __LINE__, #call, (call) == -1 ? errno : -1, error))
