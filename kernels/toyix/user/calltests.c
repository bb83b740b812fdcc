/*
 * calltests: asks the kernel what seccomp(2), prctl(2) and the filters of sockets do and refuse, and prints each question
 * that it gets wrong. Prints "calltests: ok" when there is none. What confines is asked in a child.
 */
#include "check.h"
#include "filter.h"

#define BAD_POINTER ((void *)0x1000)
#define SYS_getpid	39
#define MAX_ERRNO	4095
#define COUNT(filter)	(sizeof(filter) / sizeof((filter)[0]))

static long install(unsigned int flags, struct sock_filter *filter, unsigned short len)
{
	struct sock_fprog program = { len, filter };

	return seccomp(SECCOMP_SET_MODE_FILTER, flags, &program);
}

/* A filter that answers getpid with ret and allows the rest. */
static long answer_getpid(unsigned int ret)
{
	struct sock_filter filter[] = {
		BPF_STMT(LD_W_ABS, DATA_NR),
		BPF_JUMP(JMP_JEQ_K, SYS_getpid, 0, 1),
		BPF_STMT(RET_K, ret),
		BPF_STMT(RET_K, SECCOMP_RET_ALLOW),
	};

	return install(0, filter, COUNT(filter));
}

static long no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* How a child ends in which body is done: its exit status, or 1000 and the signal. */
#define CHILD(body) ({								\
	int status = 0;								\
	pid_t child = fork();							\
	if (!child) {								\
		body;								\
		_exit(wrong);							\
	}									\
	wait4(child, &status, 0, NULL);						\
	WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);	\
})

static void test_prctl(void)
{
	IS(CHILD({
		IS(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
		FAILS(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 1), EINVAL);
		FAILS(prctl(PR_SET_NO_NEW_PRIVS, 2, 0, 0, 0), EINVAL);
		FAILS(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
		IS(no_new_privs(), 0);
		FAILS(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
		IS(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
		IS(CHILD(_exit(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0))), 1);
		IS(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 0);
		FAILS(prctl(PR_SET_SECCOMP, 0, 0, 0, 0), EINVAL);
		FAILS(prctl(PR_SET_SECCOMP, 3, 0, 0, 0), EINVAL);
		FAILS(prctl(999, 0, 0, 0, 0), EINVAL);
	}), 0);
}

static void test_operations(void)
{
	unsigned int action = SECCOMP_RET_ERRNO, unknown = 0x12340000;
	struct sock_filter allow[] = { BPF_STMT(RET_K, SECCOMP_RET_ALLOW) };
	struct sock_filter loop[] = { BPF_STMT(JMP_JA, 0), BPF_STMT(LD_IMM, 0) };
	struct sock_filter half[] = { BPF_STMT(LD_H_ABS, 0), BPF_STMT(RET_A, 0) };
	struct sock_filter outside[] = { BPF_STMT(LD_W_ABS, 64), BPF_STMT(RET_A, 0) };
	struct sock_fprog empty = { 0, allow }, nowhere = { 1, BAD_POINTER }, none = { 1, NULL };

	FAILS(seccomp(99, 0, NULL), EINVAL);
	IS(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action), 0);
	FAILS(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &unknown), 95);
	FAILS(seccomp(SECCOMP_GET_ACTION_AVAIL, 1, &action), EINVAL);
	FAILS(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, BAD_POINTER), EFAULT);
	FAILS(seccomp(SECCOMP_SET_MODE_STRICT, 1, NULL), EINVAL);
	FAILS(seccomp(SECCOMP_SET_MODE_STRICT, 0, &action), EINVAL);
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, 0x80, &empty), EINVAL);
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, 0, BAD_POINTER), EFAULT);
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, 0, &empty), EINVAL);
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, 0, &nowhere), EFAULT);
	FAILS(seccomp(SECCOMP_SET_MODE_FILTER, 0, &none), EINVAL);
	FAILS(install(0, loop, 2), EINVAL);
	FAILS(install(0, half, 2), EINVAL);
	FAILS(install(0, outside, 2), EINVAL);
	IS(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 0);
	/* Root may without no_new_privs; others may not. */
	IS(CHILD(IS(install(0, allow, 1), 0)), 0);
	IS(CHILD({
		IS(setuid(1000), 0);
		FAILS(install(0, allow, 1), EACCES);
		IS(no_new_privs(), 0);
		IS(install(SECCOMP_FILTER_FLAG_LOG | 1 | 4, allow, 1), 0);
		IS(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 2);
		FAILS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0), EINVAL);
	}), 0);
}

static void test_strict(void)
{
	IS(CHILD({ prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 99, 0, 0); getpid(); }), 1000 + SIGKILL);
	IS(CHILD({ seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL); _exit(0); }), 1000 + SIGKILL);
}

static void test_actions(void)
{
	IS(CHILD({ answer_getpid(SECCOMP_RET_KILL_PROCESS); getpid(); }), 1000 + SIGSYS);
	IS(CHILD({ answer_getpid(SECCOMP_RET_KILL_THREAD); getpid(); }), 1000 + SIGSYS);
	IS(CHILD({ answer_getpid(SECCOMP_RET_TRAP); getpid(); }), 1000 + SIGSYS);
	IS(CHILD({ answer_getpid(0x00010000); getpid(); }), 1000 + SIGSYS);
	IS(CHILD({ answer_getpid(SECCOMP_RET_ERRNO + 13); FAILS(getpid(), EACCES); }), 0);
	IS(CHILD({ answer_getpid(SECCOMP_RET_ERRNO + 5000); FAILS(getpid(), MAX_ERRNO); }), 0);
	IS(CHILD({ answer_getpid(SECCOMP_RET_ERRNO); IS(getpid(), 0); }), 0);
	IS(CHILD({ answer_getpid(SECCOMP_RET_TRACE); FAILS(getpid(), 38); }), 0);
	IS(CHILD({ answer_getpid(SECCOMP_RET_USER_NOTIF); FAILS(getpid(), 38); }), 0);
	IS(CHILD({ pid_t me = getpid(); answer_getpid(SECCOMP_RET_LOG); IS(getpid(), me); }), 0);
}

/* The strongest action wins whichever came first; of equals the newest filter's data. */
static void test_stacks(void)
{
	IS(CHILD({
		answer_getpid(SECCOMP_RET_ERRNO + 1);
		answer_getpid(SECCOMP_RET_ERRNO + 2);
		FAILS(getpid(), 2);
		answer_getpid(SECCOMP_RET_ALLOW);
		FAILS(getpid(), 2);
		answer_getpid(SECCOMP_RET_TRACE);
		FAILS(getpid(), 2);
		IS(CHILD(FAILS(getpid(), 2)), 0);
		answer_getpid(SECCOMP_RET_TRAP);
		getpid();
	}), 1000 + SIGSYS);
	IS(CHILD({ answer_getpid(SECCOMP_RET_KILL_THREAD); answer_getpid(SECCOMP_RET_KILL_PROCESS); getpid(); }),
	   1000 + SIGSYS);
}

/* 32768 instructions in all filters, and 4 more for each of those before. */
static void test_path_limit(void)
{
	static struct sock_filter big[4096];

	for (size_t n = 0; n < COUNT(big); n++)
		big[n] = (struct sock_filter)BPF_STMT(RET_K, SECCOMP_RET_ALLOW);
	IS(CHILD({
		/* Three instructions of eBPF begin each program, and every return is two. */
		for (int n = 0; n < 3; n++)
			IS(install(0, big, 4096), 0);
		FAILS(install(0, big, 4096), 12);
		IS(install(0, big, 4000), 0);
	}), 0);
}

static struct sockaddr_in here = { AF_INET, htons(7000), htonl(INADDR_LOOPBACK), { 0 } };

static long attach(int fd, struct sock_filter *filter, unsigned short len)
{
	struct sock_fprog program = { len, filter };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

/* How many bytes of a packet of 10 arrive; -1 and EAGAIN if none do. */
static long arrive(int fd)
{
	char buffer[64];

	IS(sendto(fd, "0123456789", 10, 0, &here, sizeof(here)), 10);
	return recvfrom(fd, buffer, sizeof(buffer), MSG_DONTWAIT, NULL, NULL);
}

static void test_sockets(void)
{
	struct sockaddr_in from = here, far = { AF_INET, htons(7000), htonl(0x08080808), { 0 } };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 17), size = sizeof(from);
	char buffer[16];

	FAILS(socket(1, SOCK_DGRAM, 0), 97);
	FAILS(socket(AF_INET, 1, 0), 94);
	FAILS(socket(AF_INET, SOCK_DGRAM, 6), 93);
	FAILS(bind(1, &here, sizeof(here)), 88);
	FAILS(bind(63, &here, sizeof(here)), EBADF);
	FAILS(bind(fd, &here, 4), EINVAL);
	FAILS(bind(fd, BAD_POINTER, sizeof(here)), EFAULT);
	FAILS(bind(fd, &far, sizeof(far)), 99);
	IS(bind(fd, &here, sizeof(here)), 0);
	FAILS(bind(fd, &here, sizeof(here)), EINVAL);
	FAILS(bind(other, &here, sizeof(here)), 98);
	FAILS(sendto(other, "x", 1, 0, &far, sizeof(far)), 101);
	FAILS(sendto(other, "x", 1, 0, NULL, 0), 89);
	FAILS(write(fd, "x", 1), 89);
	IS(sendto(other, "hello", 5, 0, &here, sizeof(here)), 5);
	IS(recvfrom(fd, buffer, 2, 0, &from, &size), 2);
	IS(size, sizeof(from));
	IS(htons(from.sin_port) >= 32768, 1);
	FAILS(recvfrom(fd, buffer, 2, MSG_DONTWAIT, NULL, NULL), EAGAIN);
	IS(sendto(fd, "answer", 6, 0, &from, sizeof(from)), 6);
	IS(read(other, buffer, sizeof(buffer)), 6);
	IS(close(fd) | close(other), 0);
}

static void test_socket_filters(void)
{
	struct sock_filter drop[] = { BPF_STMT(RET_K, 0) }, keep[] = { BPF_STMT(RET_K, 0xffffffff) };
	struct sock_filter trim[] = { BPF_STMT(RET_K, 12) }, one[] = { BPF_STMT(RET_K, 1) };
	struct sock_filter ip[] = {	/* 4 if the IP header says UDP, else drop */
		BPF_STMT(LD_B_ABS, 0xfff00000 + 9), BPF_JUMP(JMP_JEQ_K, 17, 0, 1), BPF_STMT(RET_K, 9), BPF_STMT(RET_K, 0),
	};
	struct sock_filter length[] = { BPF_STMT(LD_W_LEN, 0), BPF_STMT(RET_A, 0) };
	struct sock_filter beyond[] = { BPF_STMT(LD_B_ABS, 100), BPF_STMT(RET_K, 9) };
	struct sock_filter unset[] = { BPF_STMT(LD_MEM, 0), BPF_STMT(RET_A, 0) };
	static struct sock_filter big[4096];
	struct sock_filter back[4];
	int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 0, yes = 1, no = 0;

	IS(bind(fd, &here, sizeof(here)), 0);
	FAILS(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &no, sizeof(no)), ENOENT);
	IS(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &size), 0);
	IS(size, 0);
	IS(attach(fd, drop, 1), 0);
	FAILS(arrive(fd), EAGAIN);
	IS(attach(fd, keep, 1), 0);
	IS(arrive(fd), 10);
	IS(attach(fd, trim, 1), 0);
	IS(arrive(fd), 4);
	/* The header of 8 bytes is never cut off. */
	IS(attach(fd, one, 1), 0);
	IS(arrive(fd), 0);
	IS(attach(fd, ip, 4), 0);
	IS(arrive(fd), 1);
	IS(attach(fd, length, 2), 0);
	IS(arrive(fd), 10);
	/* A load outside of the packet ends the filter with 0. */
	IS(attach(fd, beyond, 2), 0);
	FAILS(arrive(fd), EAGAIN);
	/* A filter that is refused leaves the one before. */
	FAILS(attach(fd, unset, 2), EINVAL);
	FAILS(attach(fd, keep, 0), EINVAL);
	FAILS(attach(fd, BAD_POINTER, 1), EFAULT);
	FAILS(attach(fd, NULL, 1), EINVAL);
	FAILS(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &yes, sizeof(yes)), EINVAL);
	FAILS(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &fd, sizeof(fd)), EINVAL);
	FAILS(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &(int){ 60 }, sizeof(fd)), EBADF);
	FAILS(setsockopt(fd, SOL_SOCKET, 999, &yes, sizeof(yes)), 92);
	FAILS(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &yes, 1), EINVAL);
	FAILS(arrive(fd), EAGAIN);
	IS(attach(fd, ip, 4), 0);
	IS(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &size), 0);
	IS(size, 4);
	IS(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, back, &size), 0);
	IS(back[0].k, 0xfff00009);
	IS(back[1].jf, 1);
	size = 3;
	FAILS(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, back, &size), EINVAL);
	/* More than net.core.optmem_max. */
	for (size_t n = 0; n < COUNT(big); n++)
		big[n] = (struct sock_filter)BPF_STMT(RET_K, 0);
	FAILS(attach(fd, big, 4096), 12);
	IS(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &yes, sizeof(yes)), 0);
	FAILS(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &no, sizeof(no)), 1);
	FAILS(attach(fd, keep, 1), 1);
	FAILS(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &no, sizeof(no)), 1);
	IS(arrive(fd), 1);
	IS(close(fd), 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	IS(bind(fd, &here, sizeof(here)), 0);
	IS(attach(fd, drop, 1), 0);
	IS(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &no, sizeof(no)), 0);
	IS(arrive(fd), 10);
	IS(close(fd), 0);
}

int main(void)
{
	test_prctl();
	test_operations();
	test_strict();
	test_actions();
	test_stacks();
	test_path_limit();
	test_sockets();
	test_socket_filters();
	if (!wrong)
		dprintf(1, "calltests: ok\n");
	return wrong != 0;
}
