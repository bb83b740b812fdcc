/* file.c: the table of open files of a process: numbers for struct file. */
#include "fdtable.h"
#include "string.h"
#include "syscalls.h"

#define FD_BIT(fd)	(1UL << ((fd) % 64))

static void init_fdtable(struct files_struct *files)
{
	files->fdtab = (struct fdtable){
		.max_fds = NR_OPEN_DEFAULT,
		.fd = files->fd_array,
		.close_on_exec = files->close_on_exec_init,
		.open_fds = files->open_fds_init,
	};
	files->fdt = &files->fdtab;
}

/* What pid 0 and the kernel threads have open: nothing. */
struct files_struct init_files = {
	.count = ATOMIC_INIT(1),
	.fdt = &init_files.fdtab,
	.fdtab = {
		.max_fds = NR_OPEN_DEFAULT,
		.fd = init_files.fd_array,
		.close_on_exec = init_files.close_on_exec_init,
		.open_fds = init_files.open_fds_init,
	},
};

/* The lowest free number from start, reserved. */
noinline int alloc_fd(unsigned int start, unsigned int end, unsigned int flags)
{
	struct files_struct *files = current->files;
	struct fdtable *fdt = files->fdt;
	unsigned int fd;
	int error = -EMFILE;

	spin_lock(&files->file_lock);
	for (fd = max(start, files->next_fd); fd < min(end, fdt->max_fds); fd++) {
		if (fdt->open_fds[fd / 64] & FD_BIT(fd))
			continue;
		fdt->open_fds[fd / 64] |= FD_BIT(fd);
		if (flags & O_CLOEXEC)
			fdt->close_on_exec[fd / 64] |= FD_BIT(fd);
		else
			fdt->close_on_exec[fd / 64] &= ~FD_BIT(fd);
		if (start <= files->next_fd)
			files->next_fd = fd + 1;
		error = fd;
		break;
	}
	spin_unlock(&files->file_lock);
	return error;
}

int get_unused_fd_flags(unsigned int flags)
{
	return alloc_fd(0, NR_OPEN_DEFAULT, flags);
}

static void __put_unused_fd(struct files_struct *files, unsigned int fd)
{
	files->fdt->open_fds[fd / 64] &= ~FD_BIT(fd);
	files->next_fd = min(files->next_fd, fd);
}

void put_unused_fd(unsigned int fd)
{
	struct files_struct *files = current->files;

	spin_lock(&files->file_lock);
	__put_unused_fd(files, fd);
	spin_unlock(&files->file_lock);
}

/* Puts a file behind a reserved number. The table takes over the caller's reference. */
noinline void fd_install(unsigned int fd, struct file *file)
{
	struct files_struct *files = current->files;

	spin_lock(&files->file_lock);
	files->fdt->fd[fd] = file;
	spin_unlock(&files->file_lock);
}

/* Frees the number and returns the file with the table's reference, or NULL. */
static struct file *pick_file(struct files_struct *files, unsigned int fd)
{
	struct file *file = NULL;

	spin_lock(&files->file_lock);
	if (fd < files->fdt->max_fds && files->fdt->fd[fd]) {
		file = files->fdt->fd[fd];
		files->fdt->fd[fd] = NULL;
		__put_unused_fd(files, fd);
	}
	spin_unlock(&files->file_lock);
	return file;
}

int close_fd(unsigned int fd)
{
	struct file *file = pick_file(current->files, fd);

	return file ? filp_close(file, current->files) : -EBADF;
}

/* The file behind a number, with a reference; NULL if there is none. */
noinline struct file *fget(unsigned int fd)
{
	struct files_struct *files = current->files;
	struct file *file = NULL;

	spin_lock(&files->file_lock);
	if (fd < files->fdt->max_fds && files->fdt->fd[fd])
		file = get_file(files->fdt->fd[fd]);
	spin_unlock(&files->file_lock);
	return file;
}

/* A table that nobody shares cannot lose the file meanwhile: then the reference is saved. */
static unsigned long __fget_light(unsigned int fd)
{
	struct files_struct *files = current->files;
	struct file *file;

	if (atomic_read(&files->count) == 1)
		return fd < files->fdt->max_fds ? (unsigned long)files->fdt->fd[fd] : 0;
	file = fget(fd);
	return file ? (unsigned long)file | FDPUT_FPUT : 0;
}

noinline unsigned long __fdget(unsigned int fd)
{
	return __fget_light(fd);
}

/* The same, and nobody else moves the file's position: it can be shared with a child or through dup. */
noinline unsigned long __fdget_pos(unsigned int fd)
{
	unsigned long v = __fget_light(fd);
	struct file *file = (struct file *)(v & ~3UL);

	if (file && (file->f_mode & FMODE_ATOMIC_POS) && atomic_read(&file->f_count) > 1) {
		mutex_lock(&file->f_pos_lock);
		v |= FDPUT_POS_UNLOCK;
	}
	return v;
}

void __f_unlock_pos(struct file *f)
{
	mutex_unlock(&f->f_pos_lock);
}

/* Puts file behind fd, whatever was there. */
static int do_dup2(struct files_struct *files, struct file *file, unsigned int fd, unsigned int flags)
{
	struct fdtable *fdt = files->fdt;
	struct file *old;

	spin_lock(&files->file_lock);
	old = fdt->fd[fd];
	/* Reserved but not installed: another thread is opening it. */
	if (!old && (fdt->open_fds[fd / 64] & FD_BIT(fd))) {
		spin_unlock(&files->file_lock);
		return -EBUSY;
	}
	fdt->fd[fd] = get_file(file);
	fdt->open_fds[fd / 64] |= FD_BIT(fd);
	fdt->close_on_exec[fd / 64] &= ~FD_BIT(fd);
	if (flags & O_CLOEXEC)
		fdt->close_on_exec[fd / 64] |= FD_BIT(fd);
	spin_unlock(&files->file_lock);
	if (old)
		filp_close(old, files);
	return fd;
}

noinline int ksys_dup3(unsigned int oldfd, unsigned int newfd, int flags)
{
	struct file *file;
	int ret;

	if ((flags & ~O_CLOEXEC) || oldfd == newfd)
		return -EINVAL;
	if (newfd >= NR_OPEN_DEFAULT)
		return -EBADF;
	file = fget(oldfd);
	if (!file)
		return -EBADF;
	ret = do_dup2(current->files, file, newfd, flags);
	fput(file);
	return ret;
}

SYSCALL_DEFINE3(dup3, unsigned int, oldfd, unsigned int, newfd, int, flags)
{
	return ksys_dup3(oldfd, newfd, flags);
}

SYSCALL_DEFINE2(dup2, unsigned int, oldfd, unsigned int, newfd)
{
	struct file *file;

	if (oldfd != newfd)
		return ksys_dup3(oldfd, newfd, 0);
	/* The one difference from dup3: to itself it does nothing, if it is open. */
	file = fget(oldfd);
	if (!file)
		return -EBADF;
	fput(file);
	return oldfd;
}

SYSCALL_DEFINE1(dup, unsigned int, fildes)
{
	struct file *file = fget(fildes);
	int fd;

	if (!file)
		return -EBADF;
	fd = get_unused_fd_flags(0);
	if (fd < 0)
		fput(file);
	else
		fd_install(fd, file);
	return fd;
}

static struct files_struct *dup_fd(struct files_struct *old)
{
	struct files_struct *new = kzalloc(sizeof(*new), GFP_KERNEL);

	if (!new)
		return NULL;
	atomic_set(&new->count, 1);
	init_fdtable(new);
	spin_lock(&old->file_lock);
	new->next_fd = old->next_fd;
	for (unsigned int fd = 0; fd < NR_OPEN_DEFAULT; fd++) {
		struct file *file = old->fdt->fd[fd];

		if (!file)
			continue;
		new->fdt->fd[fd] = get_file(file);
		new->fdt->open_fds[fd / 64] |= FD_BIT(fd);
		new->fdt->close_on_exec[fd / 64] |= old->fdt->close_on_exec[fd / 64] & FD_BIT(fd);
	}
	/* A number that is reserved but not yet installed is free in the copy. */
	while (new->next_fd && !new->fdt->fd[new->next_fd - 1])
		new->next_fd--;
	spin_unlock(&old->file_lock);
	return new;
}

int copy_files(unsigned long clone_flags, struct task_struct *tsk)
{
	struct files_struct *old = current->files;

	if (!old)
		return 0;
	if (clone_flags & CLONE_FILES) {
		atomic_inc(&old->count);
		tsk->files = old;
		return 0;
	}
	tsk->files = dup_fd(old);
	return tsk->files ? 0 : -ENOMEM;
}

static void put_files_struct(struct files_struct *files)
{
	if (!atomic_dec_and_test(&files->count))
		return;
	for (unsigned int fd = 0; fd < files->fdt->max_fds; fd++)
		if (files->fdt->fd[fd])
			filp_close(files->fdt->fd[fd], files);
	if (files != &init_files)
		kfree(files);
}

noinline void exit_files(struct task_struct *tsk)
{
	struct files_struct *files = tsk->files;

	tsk->files = NULL;
	if (files)
		put_files_struct(files);
}

void do_close_on_exec(struct files_struct *files)
{
	for (unsigned int fd = 0; fd < files->fdt->max_fds; fd++)
		if ((files->fdt->close_on_exec[fd / 64] & FD_BIT(fd)) && files->fdt->fd[fd])
			filp_close(pick_file(files, fd), files);
}
