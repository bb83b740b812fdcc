/*
 * usertests: asks the kernel for what it must and must not do with files, and prints each question that it gets wrong.
 * Prints "usertests: ok" when there is none.
 */
#include "check.h"

#define BAD_POINTER ((void *)0x1000)

static char buffer[8192];

static int same(const char *a, const char *b, size_t size)
{
	return !strncmp(a, b, size);
}

static void test_open(void)
{
	FAILS(open("/nope", O_RDONLY), ENOENT);
	FAILS(open("", O_RDONLY), ENOENT);
	FAILS(open(BAD_POINTER, O_RDONLY), EFAULT);
	FAILS(open("/etc", O_WRONLY), EISDIR);
	FAILS(open("/etc/motd/x", O_RDONLY), ENOTDIR);
	FAILS(open("/etc/motd/", O_RDONLY), ENOTDIR);
	FAILS(open("/etc/motd", O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS(open("/etc/motd", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
	FAILS(open("/tmp/new/", O_WRONLY | O_CREAT, 0644), EISDIR);
	memset(buffer, 'x', 5000);
	FAILS(open(buffer, O_RDONLY), ENAMETOOLONG);
	memset(buffer, 'x', 300);
	buffer[300] = '\0';
	FAILS(open(buffer, O_RDONLY), ENAMETOOLONG);
	IS(open("//etc/..//etc/./motd", O_RDONLY), 3);
	IS(open("/../../etc/motd", O_RDONLY), 4);
	IS(close(3), 0);
	IS(open("/etc", O_RDONLY | O_DIRECTORY), 3);
	IS(openat(3, "motd", O_RDONLY, 0), 5);
	FAILS(openat(4, "motd", O_RDONLY, 0), ENOTDIR);
	FAILS(openat(9, "motd", O_RDONLY, 0), EBADF);
	IS(close(3) | close(4) | close(5), 0);
	FAILS(close(3), EBADF);
}

static void test_read_write(void)
{
	int fd = open("/tmp/a", O_RDWR | O_CREAT | O_TRUNC, 0644);

	IS(fd, 3);
	IS(write(fd, "0123456789", 10), 10);
	IS(lseek(fd, 2, SEEK_SET), 2);
	IS(read(fd, buffer, 3), 3);
	IS(same(buffer, "234", 3), 1);
	IS(lseek(fd, 0, SEEK_CUR), 5);
	IS(lseek(fd, 5000, SEEK_END), 5010);
	IS(write(fd, "!", 1), 1);
	IS(lseek(fd, 0, SEEK_SET), 0);
	IS(read(fd, buffer, sizeof(buffer)), 5011);
	IS(buffer[4100], 0);
	IS(buffer[5010], '!');
	IS(read(fd, buffer, 1), 0);
	IS(ftruncate(fd, 4), 0);
	IS(ftruncate(fd, 8), 0);
	IS(lseek(fd, 0, SEEK_SET), 0);
	IS(read(fd, buffer, 10), 8);
	IS(buffer[3], '3');
	IS(buffer[4], 0);
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
	FAILS(read(fd, BAD_POINTER, 0) ? 0 : write(fd, BAD_POINTER, 1), EFAULT);
	FAILS(read(9, buffer, 1), EBADF);
	IS(close(fd), 0);
	fd = open("/tmp/a", O_WRONLY | O_APPEND);
	IS(write(fd, "z", 1), 1);
	IS(lseek(fd, 0, SEEK_CUR), 9);
	FAILS(read(fd, buffer, 1), EBADF);
	IS(close(fd), 0);
	fd = open("/etc", O_RDONLY);
	FAILS(read(fd, buffer, 1), EISDIR);
	IS(close(fd), 0);
	IS(unlink("/tmp/a"), 0);
}

/* A page of the initramfs is copied before it is changed. */
static void test_changed_file(void)
{
	int fd = open("/etc/passwd", O_RDWR);

	IS(write(fd, "ROOT", 4), 4);
	IS(read(fd, buffer, 2), 2);
	IS(same(buffer, ":x", 2), 1);
	IS(lseek(fd, 0, SEEK_SET), 0);
	IS(read(fd, buffer, 6), 6);
	IS(same(buffer, "ROOT:x", 6), 1);
	IS(lseek(fd, 0, SEEK_SET), 0);
	IS(write(fd, "root", 4), 4);
	IS(close(fd), 0);
}

static int status_of(char *program)
{
	int status = 0;
	pid_t child = fork();

	if (!child)
		_exit(execve(program, (char *[]){ program, NULL }, NULL) < 0 ? 100 + errno : 0);
	IS(wait4(child, &status, 0, NULL), child);
	return WEXITSTATUS(status);
}

/* A program that was written here runs; one that was removed is there as long as it is open. */
static void test_programs(void)
{
	int from = open("/bin/false", O_RDONLY), to = open("/tmp/false", O_RDWR | O_CREAT, 0755);
	ssize_t count;

	while ((count = read(from, buffer, sizeof(buffer))) > 0)
		IS(write(to, buffer, count), count);
	IS(close(from), 0);
	IS(status_of("/tmp/false"), 1);
	IS(unlink("/tmp/false"), 0);
	IS(status_of("/tmp/false"), 100 + ENOENT);
	IS(lseek(to, 1, SEEK_SET), 1);
	IS(read(to, buffer, 3), 3);
	IS(same(buffer, "ELF", 3), 1);
	IS(close(to), 0);
	IS(status_of("/etc/motd"), 100 + EACCES);
	IS(status_of("/etc"), 100 + EACCES);
}

static void test_fds(void)
{
	int fd = open("/etc/motd", O_RDONLY), count = 0;

	IS(dup(fd), 4);
	IS(dup2(fd, 10), 10);
	IS(read(fd, buffer, 5), 5);
	IS(lseek(10, 0, SEEK_CUR), 5);
	IS(dup2(10, 10), 10);
	FAILS(dup2(9, 9), EBADF);
	FAILS(dup2(fd, 1000), EBADF);
	IS(close(4) | close(10), 0);
	while (open("/etc/motd", O_RDONLY) >= 0)
		count++;
	IS(errno, EMFILE);
	IS(count, 60);
	for (int n = 3; n < 64; n++)
		IS(close(n), 0);
}

static void test_pipes(void)
{
	int fds[2];

	IS(pipe2(fds, O_NONBLOCK), 0);
	FAILS(read(fds[0], buffer, 1), EAGAIN);
	IS(write(fds[1], "abc", 3), 3);
	IS(write(fds[1], "def", 3), 3);
	IS(read(fds[0], buffer, 4), 4);
	IS(same(buffer, "abcd", 4), 1);
	FAILS(lseek(fds[0], 0, SEEK_SET), ESPIPE);
	FAILS(write(fds[0], "x", 1), EBADF);
	while (write(fds[1], buffer, sizeof(buffer)) > 0)
		;
	IS(errno, EAGAIN);
	IS(close(fds[1]), 0);
	while (read(fds[0], buffer, sizeof(buffer)) > 0)
		;
	IS(read(fds[0], buffer, 1), 0);
	IS(close(fds[0]), 0);
	FAILS(pipe(BAD_POINTER), EFAULT);
}

static int count_entries(const char *folder, size_t room)
{
	int fd = open(folder, O_RDONLY), entries = 0;
	ssize_t count;

	while ((count = getdents64(fd, buffer, room)) > 0)
		for (ssize_t at = 0; at < count; entries++)
			at += ((struct linux_dirent64 *)(buffer + at))->d_reclen;
	close(fd);
	return count < 0 ? -errno : entries;
}

static void test_folders(void)
{
	struct stat st;

	FAILS(mkdir("/tmp/d/e", 0755), ENOENT);
	IS(mkdir("/tmp/d", 0755), 0);
	IS(mkdir("/tmp/d/e/", 0755), 0);
	IS(stat("/tmp/d", &st), 0);
	IS(st.st_nlink, 3);
	IS(count_entries("/tmp/d", sizeof(buffer)), 3);
	IS(count_entries("/tmp/d", 24), 3);
	IS(count_entries("/tmp/d", 8), -EINVAL);
	IS(chdir("/tmp/d/e"), 0);
	IS(getcwd(buffer, sizeof(buffer)), 9);
	IS(same(buffer, "/tmp/d/e", 9), 1);
	FAILS(getcwd(buffer, 5), ERANGE);
	FAILS(rmdir("."), EINVAL);
	IS(rmdir("../e"), 0);
	FAILS(open("f", O_WRONLY | O_CREAT, 0644), ENOENT);
	IS(getcwd(buffer, sizeof(buffer)) > 9, 1);
	IS(chdir("/tmp/d"), 0);
	IS(close(open("f", O_WRONLY | O_CREAT, 0644)), 0);
	FAILS(chdir("f"), ENOTDIR);
	IS(mkdir("/tmp/g", 0755), 0);
	IS(rename("f", "/tmp/g/a name that is longer than thirty-two bytes"), 0);
	IS(count_entries("/tmp/d", sizeof(buffer)), 2);
	IS(rename("/tmp/g/a name that is longer than thirty-two bytes", "/tmp/g/h"), 0);
	IS(rename("/tmp/g", "/tmp/d"), 0);
	IS(stat("/tmp/d/h", &st), 0);
	FAILS(unlink("/tmp/d"), EISDIR);
	IS(unlink("/tmp/d/h"), 0);
	IS(chdir("/"), 0);
	IS(rmdir("/tmp/d"), 0);
	IS(count_entries("/tmp", sizeof(buffer)), 2);
}

int main(void)
{
	test_open();
	test_read_write();
	test_changed_file();
	test_programs();
	test_fds();
	test_pipes();
	test_folders();
	if (!wrong)
		dprintf(1, "usertests: ok\n");
	return wrong != 0;
}
