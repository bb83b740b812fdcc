/* echo: prints its arguments, with -n no newline. All of them with one write, so that a trace shows one. */
#include "libc.h"

int main(int argc, char *argv[])
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
	return write(1, line, used) < 0 ? complain("echo", "write error") : 0;
}
