/*
 * bpftool: programs, maps, links and types of BPF. What there is the host knows: the words of the command line are
 * written into a file of its, and what is to be printed is read back, after a line with the exit status and the length
 * of the part that goes to standard output.
 */
#include "libc.h"

#define CHANNEL "/sys/kernel/debug/kprobesim/bpftool"

/* Writes all of it. */
static void put(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t done = write(fd, text, size);

		if (done <= 0)
			return;
		text += done;
		size -= done;
	}
}

int main(int argc, char *argv[])
{
	static char buffer[4096];
	size_t used = 0;
	ssize_t count;
	long out, status;
	const char *at;
	int fd = open(CHANNEL, O_RDWR);

	if (fd < 0)
		return complain("bpftool", CHANNEL);
	for (int n = 1; n < argc; n++) {
		size_t size = strlen(argv[n]) + 1;

		if (used + size > sizeof(buffer)) {
			dprintf(2, "bpftool: the command line is too long\n");
			return 255;
		}
		memcpy(buffer + used, argv[n], size);
		used += size;
	}
	if (write(fd, buffer, used ? used : 1) < 0)
		return complain("bpftool", CHANNEL);
	lseek(fd, 0, SEEK_SET);
	count = read(fd, buffer, sizeof(buffer));
	if (count <= 0)
		return complain("bpftool", CHANNEL);
	status = strtonum(buffer, &at);
	out = strtonum(at + 1, &at);
	at++;
	count -= at - buffer;
	while (count > 0) {
		ssize_t first = count < out ? count : out;

		put(1, at, first);
		put(2, at + first, count - first);
		out -= first;
		count = read(fd, buffer, sizeof(buffer));
		at = buffer;
	}
	return status;
}
