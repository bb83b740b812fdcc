/* filter.h: classic BPF, as <linux/filter.h> and <linux/seccomp.h> have it, and what is attached by it. */
#pragma once

#include "libc.h"

struct sock_filter {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};

struct sock_fprog {
	unsigned short len;
	struct sock_filter *filter;
};

/* Opcodes, by what they do. */
#define LD_W_ABS	0x20
#define LD_H_ABS	0x28
#define LD_B_ABS	0x30
#define LD_W_LEN	0x80
#define LD_IMM		0x00
#define LD_MEM		0x60
#define ST		0x02
#define JMP_JA		0x05
#define JMP_JEQ_K	0x15
#define RET_K		0x06
#define RET_A		0x16
#define BPF_STMT(code, k)		{ code, 0, 0, k }
#define BPF_JUMP(code, k, jt, jf)	{ code, jt, jf, k }

#define SECCOMP_MODE_STRICT		1
#define SECCOMP_MODE_FILTER		2
#define SECCOMP_SET_MODE_STRICT		0
#define SECCOMP_SET_MODE_FILTER		1
#define SECCOMP_GET_ACTION_AVAIL	2
#define SECCOMP_FILTER_FLAG_LOG		2
#define SECCOMP_RET_KILL_PROCESS	0x80000000
#define SECCOMP_RET_KILL_THREAD		0x00000000
#define SECCOMP_RET_TRAP		0x00030000
#define SECCOMP_RET_ERRNO		0x00050000
#define SECCOMP_RET_USER_NOTIF		0x7fc00000
#define SECCOMP_RET_TRACE		0x7ff00000
#define SECCOMP_RET_LOG			0x7ffc0000
#define SECCOMP_RET_ALLOW		0x7fff0000
#define AUDIT_ARCH_X86_64		0xc000003e

/* Offsets in struct seccomp_data. */
#define DATA_NR		0
#define DATA_ARCH	4
#define DATA_IP		8
#define DATA_ARG(n)	(16 + 8 * (n))

/* What a filter returns for the name of an action (kill, trap, errno, errno=13, ...); -1 if there is no such name. */
long seccomp_action(const char *name);

/* Sockets */
#define AF_INET			2
#define SOCK_DGRAM		2
#define INADDR_LOOPBACK		0x7f000001
#define SOL_SOCKET		1
#define SO_ATTACH_FILTER	26
#define SO_DETACH_FILTER	27
#define SO_GET_FILTER		26
#define SO_LOCK_FILTER		44
#define SO_ATTACH_BPF		50
#define MSG_DONTWAIT		0x40
#define htons(x)		__builtin_bswap16(x)
#define htonl(x)		__builtin_bswap32(x)
struct sockaddr_in {
	uint16_t sin_family, sin_port;
	uint32_t sin_addr;
	uint8_t sin_zero[8];
};
int socket(int family, int type, int protocol);
int bind(int fd, const struct sockaddr_in *address, int size);
int getsockname(int fd, struct sockaddr_in *address, int *size);
int setsockopt(int fd, int level, int option, const void *value, int size);
int getsockopt(int fd, int level, int option, void *value, int *size);
/* The library's stubs pass on six arguments. */
ssize_t sendto(int fd, const void *buffer, size_t size, int flags, const struct sockaddr_in *to, int to_size);
ssize_t recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr_in *from, int *from_size);
