/* mv: gives a file another name. */
#include "libc.h"

int main(int argc, char *argv[])
{
	if (argc != 3) {
		dprintf(2, "usage: mv old new\n");
		return 2;
	}
	return rename(argv[1], argv[2]) < 0 ? complain("mv", argv[1]) : 0;
}
