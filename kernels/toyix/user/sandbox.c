/*
 * sandbox: gives up all system calls but a few, and then makes one of the others.
 *
 *   sandbox                     what is refused kills
 *   sandbox ACTION...           one filter for each: kill thread trap errno[=N] notify trace log allow
 *   sandbox strict              SECCOMP_MODE_STRICT instead
 *   sandbox -n ...              without PR_SET_NO_NEW_PRIVS, as user 1000
 */
#include "filter.h"

#define SYS_read	0
#define SYS_write	1
#define SYS_exit	60
#define SYS_exit_group	231
#define SYS_seccomp	317

static int confine(unsigned int refusal)
{
	struct sock_filter filter[] = {
		BPF_STMT(LD_W_ABS, DATA_ARCH),
		BPF_JUMP(JMP_JEQ_K, AUDIT_ARCH_X86_64, 0, 6),
		BPF_STMT(LD_W_ABS, DATA_NR),
		BPF_JUMP(JMP_JEQ_K, SYS_read, 5, 0),
		BPF_JUMP(JMP_JEQ_K, SYS_write, 4, 0),
		BPF_JUMP(JMP_JEQ_K, SYS_exit, 3, 0),
		BPF_JUMP(JMP_JEQ_K, SYS_exit_group, 2, 0),
		BPF_JUMP(JMP_JEQ_K, SYS_seccomp, 1, 0),
		BPF_STMT(RET_K, refusal),
		BPF_STMT(RET_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	return seccomp(SECCOMP_SET_MODE_FILTER, 0, &program);
}

int main(int argc, char *argv[])
{
	int n = 1, count = 0;

	if (n < argc && !strcmp(argv[n], "-n"))
		setuid(1000), n++;
	else
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (n < argc && !strcmp(argv[n], "strict")) {
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0) < 0)
			return complain("sandbox", "strict");
	} else {
		static char *kill[] = { "kill", NULL };

		for (char **name = n < argc ? argv + n : kill; *name; name++, count++) {
			long action = seccomp_action(*name);

			if (action < 0) {
				dprintf(2, "sandbox: there is no action %s\n", *name);
				return 2;
			}
			if (confine(action) < 0)
				return complain("sandbox", *name);
		}
	}
	dprintf(1, "sandbox: read, write and exit are left\n");
	n = openat(AT_FDCWD, "/etc/motd", O_RDONLY, 0);
	if (n < 0)
		return complain("sandbox", "openat");
	dprintf(1, "sandbox: openat gave %d\n", n);
	return 0;
}
