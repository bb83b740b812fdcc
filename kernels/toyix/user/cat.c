/* cat: copies files, or standard input, to standard output. */
#include "libc.h"

static int copy(int fd, const char *name)
{
	static char buffer[4096];
	ssize_t count;

	while ((count = read(fd, buffer, sizeof(buffer))) > 0)
		if (write(1, buffer, count) < 0)
			return complain("cat", "write");
	return count < 0 ? complain("cat", name) : 0;
}

int main(int argc, char *argv[])
{
	int failed = 0;

	if (argc == 1)
		return copy(0, "-");
	for (int n = 1; n < argc; n++) {
		int fd = open(argv[n], O_RDONLY);

		if (fd < 0) {
			failed = complain("cat", argv[n]);
			continue;
		}
		failed |= copy(fd, argv[n]);
		close(fd);
	}
	return failed;
}
