/* echo: prints its arguments. All of them with one write, so that a trace shows one. */
#include "libc.h"

int main(int argc, char *argv[])
{
	static char line[4096];
	size_t used = 0;

	for (int n = 1; n < argc; n++) {
		size_t length = strlen(argv[n]);

		if (used + length + 1 > sizeof(line) - 1)
			break;
		if (n > 1)
			line[used++] = ' ';
		memcpy(line + used, argv[n], length);
		used += length;
	}
	line[used++] = '\n';
	return write(1, line, used) < 0 ? complain("echo", "write error") : 0;
}
