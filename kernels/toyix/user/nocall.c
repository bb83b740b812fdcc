/*
 * nocall: takes system calls away from a command and whatever it runs.
 *
 *   nocall NUMBER ACTION command...      for example: nocall 257 errno=13 cat /etc/motd
 *   nocall NUMBER.ARGUMENT=VALUE ACTION command...   only where the lower half of that argument, from 0, is VALUE
 */
#include "filter.h"

int main(int argc, char *argv[])
{
	const char *at = argc > 3 ? argv[1] : "", *end = at;
	long number = strtonum(at, &at), argument = -1, value = -1, action = argc > 3 ? seccomp_action(argv[2]) : -1;

	if (*at == '.') {
		argument = strtonum(at + 1, &at);
		value = *at == '=' ? strtonum(at + 1, &end) : -1;
	}
	if (number < 0 || action < 0 || argument > 5 || (argument >= 0 && value < 0)) {
		dprintf(2, "usage: nocall number[.argument=value] action command...\n");
		return 2;
	}
	struct sock_filter filter[] = {
		BPF_STMT(LD_W_ABS, DATA_NR),
		BPF_JUMP(JMP_JEQ_K, number, 0, 3),
		/* Without an argument to look at, the number again, which is what it is. */
		BPF_STMT(LD_W_ABS, argument < 0 ? DATA_NR : DATA_ARG(argument)),
		BPF_JUMP(JMP_JEQ_K, argument < 0 ? number : value, 0, 1),
		BPF_STMT(RET_K, action),
		BPF_STMT(RET_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp(SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return complain("nocall", "seccomp");
	execvp(argv[3], argv + 3);
	return complain("nocall", argv[3]);
}
