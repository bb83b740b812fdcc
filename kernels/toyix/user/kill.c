/* kill: sends a signal, 15 or the one given as -number, to processes. */
#include "libc.h"

int main(int argc, char *argv[])
{
	int signal = SIGTERM, failed = 0, n = 1;
	const char *end;

	if (argc > 1 && argv[1][0] == '-') {
		signal = strtonum(argv[1] + 1, &end);
		n = 2;
	}
	if (signal < 0 || n >= argc) {
		dprintf(2, "usage: kill [-number] pid...\n");
		return 2;
	}
	for (; n < argc; n++)
		if (kill(strtonum(argv[n], &end), signal) < 0)
			failed = complain("kill", argv[n]);
	return failed;
}
