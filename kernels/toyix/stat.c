/* stat.c: what is known of a file without its data. */
#include "fdtable.h"
#include "namei.h"
#include "string.h"
#include "syscalls.h"

noinline int vfs_getattr(const struct path *path, struct kstat *stat)
{
	struct inode *inode = d_inode(path->dentry);

	*stat = (struct kstat){
		.mode = inode->i_mode,
		.nlink = inode->i_nlink,
		.ino = inode->i_ino,
		.dev = inode->i_sb->s_dev,
		.rdev = inode->i_rdev,
		.uid = inode->i_uid,
		.gid = inode->i_gid,
		.size = inode->i_size,
		.atime = inode->i_atime,
		.mtime = inode->i_mtime,
		.ctime = inode->i_ctime,
		.blksize = PAGE_SIZE,
		.blocks = DIV_ROUND_UP(inode->i_size, PAGE_SIZE) * (PAGE_SIZE / 512),
	};
	return 0;
}

noinline int vfs_fstat(int fd, struct kstat *stat)
{
	struct fd f = fdget(fd);
	int error = -EBADF;

	if (f.file) {
		error = vfs_getattr(&f.file->f_path, stat);
		fdput(f);
	}
	return error;
}

noinline int vfs_statx(int dfd, const char __user *filename, int flags, struct kstat *stat)
{
	struct path path;
	int error = user_path_at(dfd, filename, flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : LOOKUP_FOLLOW, &path);

	if (!error) {
		error = vfs_getattr(&path, stat);
		path_put(&path);
	}
	return error;
}

static int cp_new_stat(const struct kstat *stat, struct stat __user *statbuf)
{
	struct stat tmp = {
		.st_dev = stat->dev,
		.st_ino = stat->ino,
		.st_nlink = stat->nlink,
		.st_mode = stat->mode,
		.st_uid = stat->uid.val,
		.st_gid = stat->gid.val,
		.st_rdev = (MAJOR(stat->rdev) << 8) | MINOR(stat->rdev),
		.st_size = stat->size,
		.st_blksize = stat->blksize,
		.st_blocks = stat->blocks,
		.st_atime = stat->atime.tv_sec,
		.st_atime_nsec = stat->atime.tv_nsec,
		.st_mtime = stat->mtime.tv_sec,
		.st_mtime_nsec = stat->mtime.tv_nsec,
		.st_ctime = stat->ctime.tv_sec,
		.st_ctime_nsec = stat->ctime.tv_nsec,
	};

	return copy_to_user(statbuf, &tmp, sizeof(tmp)) ? -EFAULT : 0;
}

static int do_stat(int dfd, const char __user *filename, struct stat __user *statbuf, int flags)
{
	struct kstat stat;
	int error = vfs_statx(dfd, filename, flags, &stat);

	return error ? error : cp_new_stat(&stat, statbuf);
}

SYSCALL_DEFINE2(newstat, const char __user *, filename, struct stat __user *, statbuf)
{
	return do_stat(AT_FDCWD, filename, statbuf, 0);
}

/* No symbolic links: the same. */
SYSCALL_DEFINE2(newlstat, const char __user *, filename, struct stat __user *, statbuf)
{
	return do_stat(AT_FDCWD, filename, statbuf, 0);
}

SYSCALL_DEFINE4(newfstatat, int, dfd, const char __user *, filename, struct stat __user *, statbuf, int, flag)
{
	return do_stat(dfd, filename, statbuf, flag);
}

SYSCALL_DEFINE2(newfstat, unsigned int, fd, struct stat __user *, statbuf)
{
	struct kstat stat;
	int error = vfs_fstat(fd, &stat);

	return error ? error : cp_new_stat(&stat, statbuf);
}

static struct statx_timestamp to_statx_time(struct timespec64 time)
{
	return (struct statx_timestamp){ .tv_sec = time.tv_sec, .tv_nsec = time.tv_nsec };
}

SYSCALL_DEFINE5(statx, int, dfd, const char __user *, filename, unsigned int, flags, unsigned int, mask,
		struct statx __user *, buffer)
{
	struct kstat stat;
	struct statx tmp;
	int error = vfs_statx(dfd, filename, flags, &stat);

	if (error)
		return error;
	tmp = (struct statx){
		.stx_mask = STATX_BASIC_STATS,
		.stx_blksize = stat.blksize,
		.stx_nlink = stat.nlink,
		.stx_uid = stat.uid.val,
		.stx_gid = stat.gid.val,
		.stx_mode = stat.mode,
		.stx_ino = stat.ino,
		.stx_size = stat.size,
		.stx_blocks = stat.blocks,
		.stx_atime = to_statx_time(stat.atime),
		.stx_ctime = to_statx_time(stat.ctime),
		.stx_mtime = to_statx_time(stat.mtime),
		.stx_rdev_major = MAJOR(stat.rdev),
		.stx_rdev_minor = MINOR(stat.rdev),
		.stx_dev_major = MAJOR(stat.dev),
		.stx_dev_minor = MINOR(stat.dev),
	};
	return copy_to_user(buffer, &tmp, sizeof(tmp)) ? -EFAULT : 0;
}

/* The file system has no size of its own: it may take all memory that is free. */
SYSCALL_DEFINE2(statfs, const char __user *, pathname, struct statfs __user *, buf)
{
	struct path path;
	struct statfs tmp = { .f_bsize = PAGE_SIZE, .f_namelen = NAME_MAX, .f_frsize = PAGE_SIZE };
	int error = user_path_at(AT_FDCWD, pathname, LOOKUP_FOLLOW, &path);

	if (error)
		return error;
	tmp.f_type = d_inode(path.dentry)->i_sb->s_magic;
	path_put(&path);
	return copy_to_user(buf, &tmp, sizeof(tmp)) ? -EFAULT : 0;
}

/* May the caller, do this? (Linux asks for the real user, here it is the one of file access.) */
SYSCALL_DEFINE2(access, const char __user *, filename, int, mode)
{
	struct path path;
	int error = mode & ~(MAY_READ | MAY_WRITE | MAY_EXEC) ? -EINVAL : 0;

	if (!error)
		error = user_path_at(AT_FDCWD, filename, LOOKUP_FOLLOW, &path);
	if (error)
		return error;
	error = inode_permission(INIT_USER_NS, d_inode(path.dentry), mode);
	path_put(&path);
	return error;
}
