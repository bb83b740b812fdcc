/*
 * bpftool: programs, maps, links and types of BPF. What there is the host knows: the words of the command line are
 * written into a file of its, and what is to be printed is read back, after a line with the exit status and the length
 * of the part that goes to standard output. Names in /sys/fs/bpf are given and looked up here, by bpf(2).
 */
#include "bpf.h"

#define CHANNEL "/sys/kernel/debug/kprobesim/bpftool"
#define FAILED	255

static char buffer[4096];

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

/* Asks the host; the answer is to be read from what is returned. */
static int ask(char *words[])
{
	size_t used = 0;
	int fd = open(CHANNEL, O_RDWR);

	if (fd < 0)
		return -1;
	for (; *words; words++) {
		size_t size = strlen(*words) + 1;

		if (used + size > sizeof(buffer)) {
			dprintf(2, "bpftool: the command line is too long\n");
			_exit(FAILED);
		}
		memcpy(buffer + used, *words, size);
		used += size;
	}
	if (write(fd, buffer, used ? used : 1) < 0)
		return -1;
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* Prints an answer; its exit status. */
static int tell(int fd)
{
	ssize_t count = read(fd, buffer, sizeof(buffer));
	long out, status;
	const char *at;

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

static int failed(const char *what, const char *which)
{
	dprintf(2, "Error: %s (%s): %s\n", what, which, strerror(errno));
	return FAILED;
}

/* The id behind a name in /sys/fs/bpf, as a word; NULL, and a message, if there is none of this kind. */
static const char *pinned_id(const char *path, int is_map)
{
	static char word[12];
	uint32_t info[64] = { 0 }, id;
	union bpf_attr attr = { .pathname = (uint64_t)path };
	int fd = bpf(BPF_OBJ_GET, &attr, sizeof(attr)), n = sizeof(word) - 1;

	if (fd < 0) {
		failed("bpf obj get", path);
		return NULL;
	}
	attr = (union bpf_attr){ .info_fd = fd, .info_len = 232, .info = (uint64_t)info };
	bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr));
	close(fd);
	/* That of a map is shorter. */
	if ((attr.info_len < 232) != is_map) {
		dprintf(2, "Error: incorrect object type: %s\n", is_map ? "prog" : "map");
		return NULL;
	}
	for (id = info[1]; n > 1 && (id || n == sizeof(word) - 1); id /= 10)
		word[--n] = '0' + id % 10;
	return word + n;
}

/* bpftool prog pin PROG FILE, with PROG as "id 3", "name cnt" or "tag 0123": the host knows which one that is. */
static int pin(char *words[], int is_map)
{
	char *question[] = { "-j", is_map ? "map" : "prog", "show", words[0], words[1], NULL };
	union bpf_attr attr = { 0 };
	const char *at;
	int fd = ask(question), status;
	ssize_t count;

	if (fd < 0)
		return complain("bpftool", CHANNEL);
	count = read(fd, buffer, sizeof(buffer) - 1);
	buffer[count < 0 ? 0 : count] = '\0';
	status = strtonum(buffer, &at);
	at = strchr(at, '\n');
	if (status || !at || strncmp(at + 1, "{\"id\":", 6)) {
		/* The message in plain words. */
		if (!status && at && at[1] == '[')
			dprintf(2, "Error: several %s match this handle\n", is_map ? "maps" : "programs");
		else if ((fd = ask(question + 1)) >= 0)
			tell(fd);
		return FAILED;
	}
	attr.start_id = strtonum(at + 7, &at);
	fd = bpf(is_map ? BPF_MAP_GET_FD_BY_ID : BPF_PROG_GET_FD_BY_ID, &attr, sizeof(attr));
	if (fd < 0)
		return failed("get by id", words[1]);
	attr = (union bpf_attr){ .pathname = (uint64_t)words[2], .bpf_fd = fd };
	return bpf(BPF_OBJ_PIN, &attr, sizeof(attr)) < 0 ? failed("can't pin the object", words[2]) : 0;
}

int main(int argc, char *argv[])
{
	int fd, is_map = argc > 1 && argv[1][0] == 'm';

	for (int n = 2; n + 1 < argc; n++) {
		const char *id;

		if (strcmp(argv[n], "pinned"))
			continue;
		id = pinned_id(argv[n + 1], is_map);
		if (!id)
			return FAILED;
		argv[n] = "id";
		argv[n + 1] = (char *)id;
	}
	if (argc == 6 && !strcmp(argv[2], "pin"))
		return pin(argv + 3, is_map);
	fd = ask(argv + 1);
	return fd < 0 ? complain("bpftool", CHANNEL) : tell(fd);
}
