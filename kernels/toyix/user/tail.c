/* tail: the last lines of a file or of standard input: 10, or as many as -n N or -N says; -n +N begins with line N. */
#include "libc.h"

#define KEPT 65536
static char kept[KEPT];		/* the last bytes, of which the last lines are printed */

static int from_line(int fd, const char *name, long first)
{
	ssize_t count;

	while ((count = read(fd, kept, sizeof(kept))) > 0) {
		ssize_t start = 0;

		while (start < count && first > 1)
			first -= kept[start++] == '\n';
		if (start < count && write(1, kept + start, count - start) < 0)
			return complain("tail", "write error");
	}
	return count < 0 ? complain("tail", name) : 0;
}

static int last_lines(int fd, const char *name, long lines)
{
	size_t used = 0, start;
	ssize_t count;

	while ((count = read(fd, kept + used, sizeof(kept) - used)) > 0) {
		used += count;
		if (used == sizeof(kept)) {
			memcpy(kept, kept + KEPT / 2, KEPT / 2);
			used = KEPT / 2;
		}
	}
	if (count < 0)
		return complain("tail", name);
	for (start = used; start && lines; start--)
		if (kept[start - 1] == '\n' && start != used && !--lines)
			break;
	return write(1, kept + start, used - start) < 0 ? complain("tail", "write error") : 0;
}

int main(int argc, char *argv[])
{
	const char *end = "", *name;
	long lines = 10;
	int n = 1, from_start = 0, fd;

	if (n < argc && (argv[n][0] == '-' || argv[n][0] == '+') && argv[n][1]) {
		const char *number = argv[n];

		if (number[0] == '-' && number[1] == 'n')
			number = number[2] ? number + 2 : n + 1 < argc ? argv[++n] : "";
		from_start = *number == '+';
		lines = strtonum(number + (*number == '+' || *number == '-'), &end);
		n++;
	}
	if (lines < 0 || *end || n + 1 < argc) {
		dprintf(2, "usage: tail [-n [+]lines] [file]\n");
		return 2;
	}
	name = n < argc ? argv[n] : "standard input";
	fd = n < argc ? open(name, O_RDONLY) : 0;
	if (fd < 0)
		return complain("tail", name);
	return from_start ? from_line(fd, name, lines) : last_lines(fd, name, lines);
}
