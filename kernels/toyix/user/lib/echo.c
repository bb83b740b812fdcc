/* echo.c: what both the program echo and sh's own echo do. */
#include "libc.h"

/* Prints words on fd 1, with one write, so that a file under tracefs gets them whole. -n: no newline. */
int echo(int argc, char *argv[], const char *who, const char *what)
{
	static char line[4096];
	int newline = argc < 2 || strcmp(argv[1], "-n"), first = 2 - newline;
	size_t used = 0;

	for (int n = first; n < argc; n++) {
		size_t length = strlen(argv[n]);

		if (used + length + 1 > sizeof(line) - 1)
			break;
		if (n > first)
			line[used++] = ' ';
		memcpy(line + used, argv[n], length);
		used += length;
	}
	if (newline)
		line[used++] = '\n';
	return write(1, line, used) < 0 ? complain(who, what) : 0;
}
