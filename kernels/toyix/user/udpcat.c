/*
 * udpcat: sends itself packets, one for each word, through a socket with a filter, and prints those that arrive.
 *
 *   udpcat [-k C] [-c N] word...      -k: only words that begin with C;  -c: at most N bytes of each
 */
#include "filter.h"

#define PORT	9000
#define UDP_HLEN 8		/* a filter sees the packet from its UDP header on */

static int attach(int fd, const char *keep, long cut)
{
	struct sock_filter filter[] = {
		BPF_STMT(LD_B_ABS, UDP_HLEN),
		BPF_JUMP(JMP_JEQ_K, keep ? (unsigned char)*keep : 0, 0, keep ? 1 : 0),
		BPF_STMT(RET_K, cut < 0 ? 0x40000 : UDP_HLEN + cut),
		BPF_STMT(RET_K, 0),
	};
	/* Without a letter to look for only the return is left. */
	struct sock_fprog all = { 4, filter }, only_return = { 1, filter + 2 };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, keep ? &all : &only_return, sizeof(all));
}

int main(int argc, char *argv[])
{
	struct sockaddr_in address = { AF_INET, htons(PORT), htonl(INADDR_LOOPBACK), { 0 } };
	const char *keep = NULL, *end;
	char buffer[512];
	ssize_t count;
	long cut = -1;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), n = 1;

	for (; n + 1 < argc && argv[n][0] == '-'; n += 2) {
		if (!strcmp(argv[n], "-k"))
			keep = argv[n + 1];
		else
			cut = strtonum(argv[n + 1], &end);
	}
	if (fd < 0 || bind(fd, &address, sizeof(address)) < 0)
		return complain("udpcat", "socket");
	if ((keep || cut >= 0) && attach(fd, keep, cut) < 0)
		return complain("udpcat", "filter");
	for (; n < argc; n++)
		if (sendto(fd, argv[n], strlen(argv[n]), 0, &address, sizeof(address)) < 0)
			return complain("udpcat", argv[n]);
	while ((count = recvfrom(fd, buffer, sizeof(buffer) - 1, MSG_DONTWAIT, NULL, NULL)) >= 0) {
		buffer[count] = '\0';
		dprintf(1, "%s\n", buffer);
	}
	return 0;
}
