/* open.c: opening and closing, from the system call to the file's own open operation. */
#include "fdtable.h"
#include "namei.h"
#include "syscalls.h"

/* Makes an empty struct file an open one: takes the path, the operations and the modes from its inode. */
noinline int do_dentry_open(struct file *f, struct inode *inode)
{
	int error;

	path_get(&f->f_path);
	f->f_inode = inode;
	f->f_mapping = inode->i_mapping;
	f->f_op = inode->i_fop;
	error = security_file_open(f);
	if (!error && (S_ISREG(inode->i_mode) || S_ISDIR(inode->i_mode)))
		f->f_mode |= FMODE_ATOMIC_POS;
	/* Before open(), which takes the position away from a device that has none. */
	f->f_mode |= FMODE_LSEEK;
	if (!error && f->f_op->open)
		error = f->f_op->open(inode, f);
	if (error) {
		path_put(&f->f_path);
		return error;
	}
	f->f_mode |= FMODE_OPENED;
	if ((f->f_mode & FMODE_READ) && (f->f_op->read || f->f_op->read_iter))
		f->f_mode |= FMODE_CAN_READ;
	if ((f->f_mode & FMODE_WRITE) && (f->f_op->write || f->f_op->write_iter))
		f->f_mode |= FMODE_CAN_WRITE;
	f->f_flags &= ~(O_CREAT | O_EXCL | O_TRUNC);
	if (!f->f_op->llseek)
		f->f_mode &= ~FMODE_LSEEK;
	return 0;
}

noinline int vfs_open(const struct path *path, struct file *file)
{
	file->f_path = *path;
	return do_dentry_open(file, d_inode(path->dentry));
}

noinline int do_truncate(struct dentry *dentry, loff_t length)
{
	struct iattr attr = { .ia_valid = ATTR_SIZE, .ia_size = length };
	struct inode *inode = d_inode(dentry);
	int error = -EINVAL;

	inode_lock(inode);
	if (inode->i_op->setattr)
		error = inode->i_op->setattr(INIT_USER_NS, dentry, &attr);
	inode_unlock(inode);
	return error;
}

static int build_open_flags(const struct open_how *how, struct open_flags *op)
{
	static const int acc_modes[] = { MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, 0 };
	int flags = how->flags;

	if (how->resolve || (how->mode & ~S_IALLUGO) || (flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if ((flags & O_CREAT) && (flags & O_DIRECTORY))
		return -EINVAL;
	op->open_flag = flags;
	op->mode = flags & O_CREAT ? how->mode | S_IFREG : 0;
	op->acc_mode = acc_modes[flags & O_ACCMODE];
	if (flags & O_TRUNC)
		op->acc_mode |= MAY_WRITE;
	op->lookup_flags = LOOKUP_OPEN | LOOKUP_FOLLOW;
	if (flags & O_DIRECTORY)
		op->lookup_flags |= LOOKUP_DIRECTORY;
	if (flags & O_CREAT)
		op->lookup_flags |= LOOKUP_CREATE;
	return 0;
}

/* Opens a file for the kernel itself. */
struct file *filp_open(const char *filename, int flags, umode_t mode)
{
	struct open_how how = { .flags = flags, .mode = flags & O_CREAT ? mode : 0 };
	struct filename *name = getname_kernel(filename);
	struct open_flags op;
	struct file *file;
	int error;

	if (IS_ERR(name))
		return (struct file *)name;
	error = build_open_flags(&how, &op);
	file = error ? ERR_PTR(error) : do_filp_open(AT_FDCWD, name, &op);
	putname(name);
	return file;
}

noinline long do_sys_openat2(int dfd, const char __user *filename, struct open_how *how)
{
	struct open_flags op;
	struct filename *tmp;
	int fd = build_open_flags(how, &op);

	if (fd)
		return fd;
	tmp = getname(filename);
	if (IS_ERR(tmp))
		return PTR_ERR(tmp);
	fd = get_unused_fd_flags(how->flags);
	if (fd >= 0) {
		struct file *f = do_filp_open(dfd, tmp, &op);

		if (IS_ERR(f)) {
			put_unused_fd(fd);
			fd = PTR_ERR(f);
		} else {
			fd_install(fd, f);
		}
	}
	putname(tmp);
	return fd;
}

/* open and openat ignore bits that openat2 refuses. */
noinline long do_sys_open(int dfd, const char __user *filename, int flags, umode_t mode)
{
	struct open_how how = { .flags = (unsigned int)flags, .mode = mode & S_IALLUGO };

	if (!(flags & O_CREAT))
		how.mode = 0;
	return do_sys_openat2(dfd, filename, &how);
}

SYSCALL_DEFINE3(open, const char __user *, filename, int, flags, umode_t, mode)
{
	return do_sys_open(AT_FDCWD, filename, flags, mode);
}

SYSCALL_DEFINE4(openat, int, dfd, const char __user *, filename, int, flags, umode_t, mode)
{
	return do_sys_open(dfd, filename, flags, mode);
}

SYSCALL_DEFINE4(openat2, int, dfd, const char __user *, filename, struct open_how __user *, how, size_t, usize)
{
	struct open_how tmp;

	if (usize != sizeof(tmp))
		return usize < sizeof(tmp) ? -EINVAL : -E2BIG;
	if (copy_from_user(&tmp, how, sizeof(tmp)))
		return -EFAULT;
	if (tmp.mode && !(tmp.flags & O_CREAT))
		return -EINVAL;
	return do_sys_openat2(dfd, filename, &tmp);
}

SYSCALL_DEFINE2(creat, const char __user *, pathname, umode_t, mode)
{
	return do_sys_open(AT_FDCWD, pathname, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* id: whose table the file was in. Linux releases that table's record locks; there are none here. */
noinline int filp_close(struct file *filp, struct files_struct *id)
{
	fput(filp);
	return 0;
}

SYSCALL_DEFINE1(close, unsigned int, fd)
{
	return close_fd(fd);
}

SYSCALL_DEFINE2(ftruncate, unsigned int, fd, unsigned long, length)
{
	struct fd f = fdget(fd);
	int error = -EBADF;

	if (f.file) {
		error = -EINVAL;
		if ((long)length >= 0 && (f.file->f_mode & FMODE_WRITE) && S_ISREG(file_inode(f.file)->i_mode))
			error = do_truncate(f.file->f_path.dentry, length);
		fdput(f);
	}
	return error;
}
