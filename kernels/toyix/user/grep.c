/*
 * grep: the lines that a pattern matches. -v the others, -c how many, -i capitals alike, -n with numbers, -q only the
 * status, -F the pattern is plain text. In a pattern: . any character, x* any number of x, ^ begin, $ end, \ plain.
 */
#include "libc.h"

static int invert, count_only, fold, numbers, quiet, plain;
static char line[4096];

static int alike(char a, char b)
{
	if (fold && a >= 'A' && a <= 'Z')
		a += 'a' - 'A';
	if (fold && b >= 'A' && b <= 'Z')
		b += 'a' - 'A';
	return a == b;
}

static int match_here(const char *pattern, const char *text)
{
	char c = *pattern;
	int any = c == '.' && !plain;

	if (!c)
		return 1;
	if (!plain && c == '$' && !pattern[1])
		return !*text;
	if (!plain && c == '\\' && pattern[1])
		c = *++pattern;
	if (!plain && pattern[1] == '*') {
		do
			if (match_here(pattern + 2, text))
				return 1;
		while (*text && (any || alike(c, *text)) && text++);
		return 0;
	}
	return *text && (any || alike(c, *text)) && match_here(pattern + 1, text + 1);
}

static int matches(const char *pattern)
{
	if (!plain && *pattern == '^')
		return match_here(pattern + 1, line);
	for (const char *text = line;; text++) {
		if (match_here(pattern, text))
			return 1;
		if (!*text)
			return 0;
	}
}

/* Returns how many lines were found, -1 after saying what went wrong. */
static long grep(int fd, const char *pattern, const char *name, const char *label)
{
	static char buffer[4096];
	long found = 0, number = 0;
	size_t used = 0;
	ssize_t count;

	while ((count = read(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t n = 0; n < count; n++) {
			if (buffer[n] != '\n') {
				if (used < sizeof(line) - 1)
					line[used++] = buffer[n];
				continue;
			}
			line[used] = '\0';
			used = 0;
			number++;
			if (matches(pattern) == invert)
				continue;
			found++;
			if (quiet || count_only)
				continue;
			dprintf(1, label ? "%s:" : "", label);
			if (numbers)
				dprintf(1, "%ld:", number);
			write(1, line, strlen(line));
			write(1, "\n", 1);
		}
	if (count < 0)
		return -complain("grep", name);
	if (count_only)
		dprintf(1, label ? "%s:%ld\n" : "%s%ld\n", label ? label : "", found);
	return found;
}

static int take_options(const char *letters)
{
	for (; *letters; letters++)
		switch (*letters) {
		case 'v': invert = 1; break;
		case 'c': count_only = 1; break;
		case 'i': fold = 1; break;
		case 'n': numbers = 1; break;
		case 'q': quiet = 1; break;
		case 'F': plain = 1; break;
		default: return -1;
		}
	return 0;
}

int main(int argc, char *argv[])
{
	int n = 1, wrong = 0;
	long found = 0, here;

	for (; n < argc && argv[n][0] == '-' && argv[n][1]; n++)
		wrong |= take_options(argv[n] + 1);
	if (wrong || n == argc) {
		dprintf(2, "usage: grep [-vcinqF] pattern [file...]\n");
		return 2;
	}
	const char *pattern = argv[n++];

	if (n == argc)
		return grep(0, pattern, "standard input", NULL) <= 0;
	for (int many = argc - n > 1; n < argc; n++) {
		int fd = open(argv[n], O_RDONLY);

		here = fd < 0 ? -complain("grep", argv[n]) : grep(fd, pattern, argv[n], many ? argv[n] : NULL);
		wrong |= here < 0;
		found += here > 0;
		if (fd >= 0)
			close(fd);
	}
	return wrong ? 2 : !found;
}
