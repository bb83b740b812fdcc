/*
 * sockbpf: sends itself packets, one for each word, through a socket whose filter is an eBPF program, and prints those
 * that arrive. The program keeps the words that begin with C and counts, in the map sockbpf_counts, [0] what it dropped and
 * [1] what it kept.
 *
 *   sockbpf [-p FILE] C word...	-p: gives the program a name in /sys/fs/bpf
 *   sockbpf -g FILE word...		takes the program of that name
 *   sockbpf -v C			what the verifier has to say of it
 */
#include "bpf.h"
#include "filter.h"

#define PORT	9001
#define UDP_HLEN 8		/* a filter sees the packet from its UDP header on */

static char log[16384];

static int make_map(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 2,
				.map_name = "sockbpf_counts" };

	return bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
}

static int load(int map, char keep, int verbose)
{
	struct bpf_insn insns[] = {
		MOV64_REG(6, 1),
		LD_ABS_B(UDP_HLEN),			/* the word's first letter */
		MOV64_IMM(7, 0),
		JNE_IMM(0, keep, 1),
		MOV64_IMM(7, 1),			/* r7: whether it is kept */
		STX_W(10, 7, -4),
		LD_MAP_FD(1, map),
		MOV64_REG(2, 10),
		ADD64_IMM(2, -4),
		CALL(HELPER_MAP_LOOKUP_ELEM),
		JEQ_IMM(0, 0, 2),
		MOV64_IMM(1, 1),
		ATOMIC_ADD64(0, 1, 0),
		MOV64_IMM(0, 0),
		JEQ_IMM(7, 0, 1),
		MOV64_IMM(0, 0x40000),			/* more than any packet has: all of it */
		EXIT(),
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = sizeof(insns) / sizeof(insns[0]),
				.insns = (uint64_t)insns, .license = (uint64_t)"GPL", .prog_name = "keep_letter" };

	if (verbose) {
		attr.log_level = 2;		/* 1 tells of a program that is refused only */
		attr.log_size = sizeof(log);
		attr.log_buf = (uint64_t)log;
	}
	return bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
}

static long lookup(int map, uint32_t key)
{
	union bpf_attr attr = { 0 };
	uint64_t value = 0;

	attr.map_fd = map;
	attr.key = (uint64_t)&key;
	attr.value = (uint64_t)&value;
	return bpf(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)) < 0 ? -1 : (long)value;
}

static int named(int cmd, const char *path, int fd)
{
	union bpf_attr attr = { .pathname = (uint64_t)path, .bpf_fd = fd };

	return bpf(cmd, &attr, sizeof(attr));
}

int main(int argc, char *argv[])
{
	struct sockaddr_in address = { AF_INET, htons(PORT), htonl(INADDR_LOOPBACK), { 0 } };
	const char *pin = NULL, *get = NULL;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), map = -1, prog, n = 1, verbose = 0;
	char buffer[512];
	ssize_t count;

	if (n < argc && !strcmp(argv[n], "-v")) {
		verbose = 1, n++;
	} else if (n + 1 < argc && argv[n][0] == '-') {
		*(argv[n][1] == 'g' ? &get : &pin) = argv[n + 1];
		n += 2;
	}
	if (get) {
		prog = named(BPF_OBJ_GET, get, 0);
	} else {
		if (n >= argc) {
			dprintf(2, "usage: sockbpf [-p FILE] C word... | sockbpf -g FILE word... | sockbpf -v C\n");
			return 2;
		}
		map = make_map();
		if (map < 0)
			return complain("sockbpf", "map");
		prog = load(map, *argv[n++], verbose);
	}
	write(1, log, strlen(log));
	if (prog < 0)
		return complain("sockbpf", get ? get : "program");
	if (pin && named(BPF_OBJ_PIN, pin, prog) < 0)
		return complain("sockbpf", pin);
	if (fd < 0 || bind(fd, &address, sizeof(address)) < 0)
		return complain("sockbpf", "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)) < 0)
		return complain("sockbpf", "SO_ATTACH_BPF");
	/* From now on it is the socket that keeps the program. */
	close(prog);
	for (; n < argc; n++)
		if (sendto(fd, argv[n], strlen(argv[n]), 0, &address, sizeof(address)) < 0)
			return complain("sockbpf", argv[n]);
	while ((count = recvfrom(fd, buffer, sizeof(buffer) - 1, MSG_DONTWAIT, NULL, NULL)) >= 0) {
		buffer[count] = '\0';
		dprintf(1, "%s\n", buffer);
	}
	if (map >= 0 && !verbose)
		dprintf(1, "kept %ld, dropped %ld\n", lookup(map, 1), lookup(map, 0));
	return 0;
}
