/* wc: counts lines, words and bytes of a file or of standard input; -l lines only, -w words, -c bytes. */
#include "libc.h"

int main(int argc, char *argv[])
{
	static char buffer[1024];
	long lines = 0, words = 0, bytes = 0;
	char only = argc > 1 && argv[1][0] == '-' ? argv[1][1] : 0;
	const char *name = argc > 1 + !!only ? argv[1 + !!only] : NULL;
	int fd = name ? open(name, O_RDONLY) : 0, in_word = 0;
	ssize_t count;

	if (fd < 0)
		return complain("wc", name);
	while ((count = read(fd, buffer, sizeof(buffer))) > 0) {
		bytes += count;
		for (ssize_t n = 0; n < count; n++) {
			int blank = buffer[n] == ' ' || buffer[n] == '\n' || buffer[n] == '\t';

			lines += buffer[n] == '\n';
			words += !blank && !in_word;
			in_word = !blank;
		}
	}
	if (count < 0)
		return complain("wc", name ? name : "read");
	if (only)
		dprintf(1, "%ld", only == 'l' ? lines : only == 'w' ? words : bytes);
	else
		dprintf(1, "%ld %ld %ld", lines, words, bytes);
	dprintf(1, only && name ? " %s\n" : "\n", name);
	return 0;
}
