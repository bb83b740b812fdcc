/* head: the first lines of files or of standard input: 10, or as many as -n N or -N says. */
#include "libc.h"

static int head(int fd, const char *name, long lines)
{
	static char buffer[4096];
	ssize_t count = 0;

	while (lines > 0 && (count = read(fd, buffer, sizeof(buffer))) > 0) {
		ssize_t end = 0;

		while (end < count && lines > 0)
			lines -= buffer[end++] == '\n';
		if (write(1, buffer, end) < 0)
			return complain("head", "write error");
	}
	return count < 0 ? complain("head", name) : 0;
}

int main(int argc, char *argv[])
{
	const char *end = "";
	long lines = 10;
	int n = 1, failed = 0;

	if (n < argc && argv[n][0] == '-' && argv[n][1]) {
		const char *number = argv[n][1] != 'n' ? argv[n] + 1 : argv[n][2] ? argv[n] + 2 : n + 1 < argc ? argv[++n] : "";

		lines = strtonum(number, &end);
		n++;
	}
	if (lines < 0 || *end) {
		dprintf(2, "usage: head [-n lines] [file...]\n");
		return 2;
	}
	if (n == argc)
		return head(0, "standard input", lines);
	for (; n < argc; n++) {
		int fd = open(argv[n], O_RDONLY);

		if (fd < 0) {
			failed = complain("head", argv[n]);
			continue;
		}
		failed |= head(fd, argv[n], lines);
		close(fd);
	}
	return failed;
}
