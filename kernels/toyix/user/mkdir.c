/* mkdir: makes folders. */
#include "libc.h"

int main(int argc, char *argv[])
{
	int failed = 0;

	for (int n = 1; n < argc; n++)
		if (mkdir(argv[n], 0755) < 0)
			failed = complain("mkdir", argv[n]);
	return failed;
}
