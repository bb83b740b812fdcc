/* rm: removes files. */
#include "libc.h"

int main(int argc, char *argv[])
{
	int failed = 0;

	for (int n = 1; n < argc; n++)
		if (unlink(argv[n]) < 0)
			failed = complain("rm", argv[n]);
	return failed;
}
