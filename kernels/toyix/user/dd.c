/* dd: copies in blocks of a chosen size. if= of= bs= (with k) count= status=none. */
#include "libc.h"

static char buffer[64 * 1024];

static const char *value_of(const char *argument, const char *key)
{
	size_t length = strlen(key);

	return strncmp(argument, key, length) ? NULL : argument + length;
}

/* A number, with k for 1024. -1 where it is none. */
static long size_of(const char *text)
{
	const char *end;
	long size = strtonum(text, &end);

	if (size >= 0 && *end == 'k')
		size *= 1024, end++;
	return *end ? -1 : size;
}

int main(int argc, char *argv[])
{
	const char *from = NULL, *to = NULL, *value;
	long size = 512, blocks = -1, whole = 0, parts = 0;
	int input = 0, output = 1, quiet = 0;
	ssize_t count = 0;

	for (int n = 1; n < argc; n++) {
		if ((value = value_of(argv[n], "if=")))
			from = value;
		else if ((value = value_of(argv[n], "of=")))
			to = value;
		else if ((value = value_of(argv[n], "bs=")))
			size = size_of(value);
		else if ((value = value_of(argv[n], "count=")))
			blocks = size_of(value);
		else if (!strcmp(argv[n], "status=none"))
			quiet = 1;
		else
			size = 0;
	}
	if (size <= 0 || size > (long)sizeof(buffer)) {
		dprintf(2, "usage: dd [if=file] [of=file] [bs=1..64k] [count=n] [status=none]\n");
		return 2;
	}
	if (from && (input = open(from, O_RDONLY)) < 0)
		return complain("dd", from);
	if (to && (output = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644)) < 0)
		return complain("dd", to);
	while (blocks < 0 || whole + parts < blocks) {
		count = read(input, buffer, size);
		if (count <= 0)
			break;
		if (count == size)
			whole++;
		else
			parts++;
		if (write(output, buffer, count) != count)
			return complain("dd", to ? to : "write");
	}
	if (count < 0)
		return complain("dd", from ? from : "read");
	if (!quiet)
		dprintf(2, "%ld+%ld records in\n%ld+%ld records out\n", whole, parts, whole, parts);
	return 0;
}
