/* rmdir: removes empty folders. */
#include "libc.h"

int main(int argc, char *argv[])
{
	int failed = 0;

	for (int n = 1; n < argc; n++)
		if (rmdir(argv[n]) < 0)
			failed = complain("rmdir", argv[n]);
	return failed;
}
