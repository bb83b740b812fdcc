/* process.c: what is more than one system call, or has another shape than its system call. */
#include "libc.h"

#define REBOOT_MAGIC1	0xfee1dead
#define REBOOT_MAGIC2	672274793

int errno;

int sys_reboot(unsigned int magic1, unsigned int magic2, unsigned int command, void *argument);

/* As in Linux's C libraries, open(2) is never called: a trace shows openat. */
int open(const char *path, int flags, ...)
{
	unsigned int mode = 0;
	va_list args;

	if (flags & O_CREAT) {
		va_start(args, flags);
		mode = va_arg(args, unsigned int);
		va_end(args);
	}
	return openat(AT_FDCWD, path, flags, mode);
}

/* Nothing is buffered here, so there is nothing to flush. */
void exit(int status)
{
	_exit(status);
}

void ignore(int signal, int yes)
{
	const unsigned long handler[4] = { yes };	/* SIG_IGN is 1, SIG_DFL is 0 */

	rt_sigaction(signal, handler, NULL, 8);
}

void restore_rt(void);

int handle(int signal, handler_t handler, unsigned long flags)
{
	const unsigned long action[4] = { (unsigned long)handler, flags | SA_SIGINFO | SA_RESTORER, (unsigned long)restore_rt };

	return rt_sigaction(signal, action, NULL, 8);
}

int reboot(int how)
{
	return sys_reboot(REBOOT_MAGIC1, REBOOT_MAGIC2, how, NULL);
}

/* A name without a slash is looked for in /bin. */
int execvp(const char *file, char *const argv[])
{
	static char *no_environment[] = { NULL };
	char path[64] = "/bin/";
	size_t length = strlen(file);

	if (strchr(file, '/'))
		return execve(file, argv, no_environment);
	if (length >= sizeof(path) - 5) {
		errno = ENOENT;
		return -1;
	}
	memcpy(path + 5, file, length + 1);
	return execve(path, argv, no_environment);
}
