/* action.c: the actions of seccomp filters by name. */
#include "filter.h"

long seccomp_action(const char *name)
{
	static const struct { const char *name; unsigned int value; } actions[] = {
		{ "kill", SECCOMP_RET_KILL_PROCESS }, { "thread", SECCOMP_RET_KILL_THREAD }, { "trap", SECCOMP_RET_TRAP },
		{ "errno", SECCOMP_RET_ERRNO }, { "notify", SECCOMP_RET_USER_NOTIF }, { "trace", SECCOMP_RET_TRACE },
		{ "log", SECCOMP_RET_LOG }, { "allow", SECCOMP_RET_ALLOW }, { "odd", 0x12340000 },
	};
	const char *data = strchr(name, '='), *end;
	size_t length = data ? (size_t)(data - name) : strlen(name);
	long number = data ? strtonum(data + 1, &end) : 1;

	for (size_t n = 0; n < sizeof(actions) / sizeof(actions[0]); n++)
		if (strlen(actions[n].name) == length && !strncmp(actions[n].name, name, length))
			return number < 0 || number > 0xffff ? -1 : (long)actions[n].value + number;
	return -1;
}
