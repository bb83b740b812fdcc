/* wc: counts lines, words and bytes of a file or of standard input. */
#include "libc.h"

int main(int argc, char *argv[])
{
	static char buffer[1024];
	long lines = 0, words = 0, bytes = 0;
	int fd = argc > 1 ? open(argv[1], O_RDONLY) : 0, in_word = 0;
	ssize_t count;

	if (fd < 0)
		return complain("wc", argv[1]);
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
		return complain("wc", argc > 1 ? argv[1] : "read");
	dprintf(1, "%ld %ld %ld\n", lines, words, bytes);
	return 0;
}
