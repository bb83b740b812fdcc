/*
 * trapped: gives up openat(2), but not without asking: the filter says TRAP, and a handler of SIGSYS decides. It opens what
 * is below /etc by another way, and lets the program believe that all else does not exist.
 *
 *   trapped FILE...		prints the files
 */
#include "filter.h"

#define SYS_openat	257
#define SYS_open	2
#define SYS_SECCOMP	1

long syscall3(long number, long a, long b, long c);
__asm__(".text\nsyscall3: movq %rdi, %rax; movq %rsi, %rdi; movq %rdx, %rsi; movq %rcx, %rdx; syscall; ret");

/* What it puts into rax is what the program's system call returns. */
static void on_sigsys(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	const char *path = (const char *)uc->uc_mcontext.si;

	dprintf(1, "trapped: signal %d, code %d: system call %d at 0x%lx, the filter says %d\n", signal, info->si_code,
		info->si_syscall, (unsigned long)info->si_call_addr, info->si_errno);
	if (info->si_code != SYS_SECCOMP || info->si_syscall != SYS_openat)
		return;
	uc->uc_mcontext.ax = strncmp(path, "/etc/", 5) ? -ENOENT : syscall3(SYS_open, (long)path, O_RDONLY, 0);
}

int main(int argc, char *argv[])
{
	struct sock_filter filter[] = {
		BPF_STMT(LD_W_ABS, DATA_NR),
		BPF_JUMP(JMP_JEQ_K, SYS_openat, 0, 1),
		BPF_STMT(RET_K, SECCOMP_RET_TRAP + 7),
		BPF_STMT(RET_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };
	char buffer[512];
	int failed = 0;

	handle(SIGSYS, on_sigsys, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (seccomp(SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return complain("trapped", "filter");
	for (int n = 1; n < argc; n++) {
		int fd = openat(AT_FDCWD, argv[n], O_RDONLY, 0);
		ssize_t count;

		if (fd < 0) {
			failed = complain("trapped", argv[n]);
			continue;
		}
		while ((count = read(fd, buffer, sizeof(buffer))) > 0)
			write(1, buffer, count);
		close(fd);
	}
	return failed;
}
