/* libc.h: everything that toyix programs share. Numbers and layouts are those of Linux on x86-64. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef long ssize_t;
typedef long off_t;
typedef int pid_t;

/* Errors */
extern int errno;
#define ENOENT	2
#define EINTR	4
#define EBADF	9
#define EAGAIN	11
#define EACCES	13
#define EFAULT	14
#define EEXIST	17
#define ENOTDIR	20
#define EISDIR	21
#define EINVAL	22
#define EMFILE	24
#define ESPIPE	29
#define EPIPE	32
#define ERANGE	34
#define ENAMETOOLONG 36
const char *strerror(int error);

/* Processes */
#define WNOHANG		1
#define WIFSIGNALED(s)	(((s) & 0x7f) != 0)
#define WTERMSIG(s)	((s) & 0x7f)
#define WEXITSTATUS(s)	(((s) >> 8) & 0xff)
#define SIGINT		2
#define SIGTERM		15
#define SIGILL		4
#define SIGTRAP		5
#define SIGFPE		8
#define SIGKILL		9
#define SIGUSR1		10
#define SIGSEGV		11
#define SIGUSR2		12
#define SIGCHLD		17
#define SIGSTOP		19
#define SIGSYS		31
#define RB_POWER_OFF	0x4321fedc
_Noreturn void _exit(int status);
_Noreturn void exit(int status);
pid_t fork(void);
int execve(const char *path, char *const argv[], char *const envp[]);
int execvp(const char *file, char *const argv[]);
pid_t wait4(pid_t pid, int *status, int options, void *usage);
pid_t getpid(void);
int kill(pid_t pid, int signal);
int rt_sigaction(int signal, const void *action, void *old, size_t size);
void ignore(int signal, int yes);		/* 0: it kills again */
int reboot(int how);

/* Signals */
#define SIG_BLOCK	0
#define SIG_UNBLOCK	1
#define SIG_SETMASK	2
#define SA_SIGINFO	0x00000004
#define SA_RESTORER	0x04000000
#define SA_RESTART	0x10000000
#define SA_NODEFER	0x40000000
#define SA_RESETHAND	0x80000000
typedef struct {
	int si_signo, si_errno, si_code;
	union {
		struct { int si_pid, si_uid, si_status; };
		void *si_addr;
		struct { void *si_call_addr; int si_syscall; unsigned int si_arch; };
		char __size[112];
	} __attribute__((aligned(8)));
} siginfo_t;
/* The interrupted registers, as the handler may change them. */
struct sigcontext {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, flags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2, rest[9];
};
typedef struct {
	uint64_t uc_flags, uc_link, ss_sp, ss_flags, ss_size;
	struct sigcontext uc_mcontext;
	uint64_t uc_sigmask;
} ucontext_t;
typedef void (*handler_t)(int signal, siginfo_t *info, void *context);
int handle(int signal, handler_t handler, unsigned long flags);	/* has it called; NULL: the default action */
int rt_sigprocmask(int how, const uint64_t *set, uint64_t *old, size_t size);

/* Files */
#define O_RDONLY	0
#define O_WRONLY	1
#define O_RDWR		2
#define O_CREAT		0100
#define O_EXCL		0200
#define O_TRUNC		01000
#define O_APPEND	02000
#define O_NONBLOCK	04000
#define O_DIRECTORY	0200000
#define O_CLOEXEC	02000000
#define AT_FDCWD	-100
#define SEEK_SET	0
#define SEEK_CUR	1
#define SEEK_END	2
int open(const char *path, int flags, ...);
int close(int fd);
ssize_t read(int fd, void *buffer, size_t size);
ssize_t write(int fd, const void *buffer, size_t size);
off_t lseek(int fd, off_t offset, int whence);
int dup(int fd);
int dup2(int from, int to);
int pipe(int fds[2]);
int pipe2(int fds[2], int flags);
int openat(int folder, const char *path, int flags, unsigned int mode);
int ftruncate(int fd, off_t length);
long getcwd(char *buffer, size_t size);
int unlink(const char *path);
int rename(const char *from, const char *to);
int mkdir(const char *path, unsigned int mode);
int rmdir(const char *path);
int chdir(const char *path);
void sync(void);

#define S_IFMT		0170000
#define S_IFDIR		0040000
#define S_IFCHR		0020000
#define S_ISDIR(mode)	(((mode) & S_IFMT) == S_IFDIR)
struct stat {
	uint64_t st_dev;	/*  0 */
	uint64_t st_ino;	/*  8 */
	uint64_t st_nlink;	/* 16 */
	uint32_t st_mode;	/* 24 */
	uint32_t st_uid;	/* 28 */
	uint32_t st_gid;	/* 32 */
	uint32_t st_pad;	/* 36 */
	uint64_t st_rdev;	/* 40 */
	int64_t st_size;	/* 48 */
	int64_t st_rest[11];	/* 56: block counts and times */
};
int stat(const char *path, struct stat *st);
int fstat(int fd, struct stat *st);

#define DT_CHR	2
#define DT_DIR	4
#define DT_REG	8
struct linux_dirent64 {
	uint64_t d_ino;		/*  0 */
	int64_t d_off;		/*  8 */
	uint16_t d_reclen;	/* 16 */
	uint8_t d_type;		/* 18 */
	char d_name[];		/* 19 */
};
ssize_t getdents64(int fd, void *buffer, size_t size);

/* Confinement. A filter is struct sock_fprog, see filter.h. */
#define PR_GET_SECCOMP		21
#define PR_SET_SECCOMP		22
#define PR_SET_NO_NEW_PRIVS	38
#define PR_GET_NO_NEW_PRIVS	39
int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int seccomp(unsigned int operation, unsigned int flags, void *args);
int setuid(unsigned int uid);

/* Time */
struct timespec {
	int64_t tv_sec;
	int64_t tv_nsec;
};
#define NSEC_PER_SEC	1000000000L
#define CLOCK_MONOTONIC	1
int clock_gettime(int clock, struct timespec *now);
int nanosleep(const struct timespec *want, struct timespec *left);

/* Strings */
void *memset(void *at, int byte, size_t size);
void *memcpy(void *to, const void *from, size_t size);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);
char *strchr(const char *s, int c);
/* Reads a decimal number and leaves *end at the first character that is no digit; -1 where there is none. */
long strtonum(const char *s, const char **end);

/* Output: %s %c %d %u %ld %lu %x %lx %%, with a width. One write for one call. */
int dprintf(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints "program: what: why" from errno on fd 2 and returns 1, an exit status. */
int complain(const char *program, const char *what);
/* Prints argv[1] and on; where that fails it complains as who about what. */
int echo(int argc, char *argv[], const char *who, const char *what);
