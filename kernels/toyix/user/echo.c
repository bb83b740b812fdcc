/* echo: prints its arguments, with -n no newline. sh has its own; this one is for those who start programs without sh. */
#include "libc.h"

int main(int argc, char *argv[])
{
	return echo(argc, argv, "echo", "write error");
}
