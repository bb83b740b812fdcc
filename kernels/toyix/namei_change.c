/* namei_change.c: new names and names that go: mknod, mkdir, rmdir, unlink, rename. */
#include "fdtable.h"
#include "namei.h"
#include "syscalls.h"

/* Rights to add a name, or take one away: write and search in a directory that has not been removed itself. */
int may_change(struct inode *dir)
{
	if (!dir->i_nlink)
		return -ENOENT;
	return inode_permission(INIT_USER_NS, dir, MAY_WRITE | MAY_EXEC);
}

int may_create(struct inode *dir, struct dentry *child)
{
	return d_is_negative(child) ? may_change(dir) : -EEXIST;
}

int may_delete(struct inode *dir, struct dentry *victim, bool isdir)
{
	int error = d_is_negative(victim) ? -ENOENT : may_change(dir);

	if (error)
		return error;
	if (isdir && !d_is_dir(victim))
		return -ENOTDIR;
	if (!isdir && d_is_dir(victim))
		return -EISDIR;
	return 0;
}

noinline int vfs_create(struct user_namespace *ns, struct inode *dir, struct dentry *dentry, umode_t mode, bool want_excl)
{
	int error = may_create(dir, dentry);

	if (error)
		return error;
	if (!dir->i_op->create)
		return -EACCES;
	return dir->i_op->create(ns, dir, dentry, (mode & S_IALLUGO) | S_IFREG, want_excl);
}

noinline int vfs_mknod(struct user_namespace *ns, struct inode *dir, struct dentry *dentry, umode_t mode, dev_t dev)
{
	int error = may_create(dir, dentry);

	if (error)
		return error;
	if (!dir->i_op->mknod)
		return -EPERM;
	return dir->i_op->mknod(ns, dir, dentry, mode, dev);
}

noinline int vfs_mkdir(struct user_namespace *ns, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	int error = may_create(dir, dentry);

	if (error)
		return error;
	if (!dir->i_op->mkdir)
		return -EPERM;
	return dir->i_op->mkdir(ns, dir, dentry, mode & (S_IALLUGO & ~06000));
}

noinline int vfs_rmdir(struct user_namespace *ns, struct inode *dir, struct dentry *dentry)
{
	int error = may_delete(dir, dentry, true);

	if (!error && !dir->i_op->rmdir)
		error = -EPERM;
	if (error)
		return error;
	dget(dentry);
	inode_lock(d_inode(dentry));
	error = dir->i_op->rmdir(dir, dentry);
	inode_unlock(d_inode(dentry));
	if (!error)
		d_delete(dentry);
	dput(dentry);
	return error;
}

noinline int vfs_unlink(struct user_namespace *ns, struct inode *dir, struct dentry *dentry)
{
	int error = may_delete(dir, dentry, false);

	if (!error && !dir->i_op->unlink)
		error = -EPERM;
	if (error)
		return error;
	error = dir->i_op->unlink(dir, dentry);
	if (!error)
		d_delete(dentry);
	return error;
}

/* Locks the directory and returns the dentry to create in it. done_path_create() undoes both. */
static struct dentry *filename_create(int dfd, struct filename *name, struct path *path, bool want_dir)
{
	struct qstr last;
	struct dentry *dentry;
	int type, error = filename_parentat(dfd, name, path, &last, &type);

	if (error)
		return ERR_PTR(error);
	if (type != LAST_NORM) {
		path_put(path);
		return ERR_PTR(-EEXIST);
	}
	inode_lock(d_inode(path->dentry));
	dentry = __lookup_hash(&last, path->dentry, LOOKUP_CREATE | LOOKUP_EXCL);
	if (!IS_ERR(dentry)) {
		error = d_is_negative(dentry) ? 0 : -EEXIST;
		/* "file/" can only become a directory. */
		if (!error && last.name[last.len] && !want_dir)
			error = -ENOENT;
		if (!error)
			return dentry;
		dput(dentry);
		dentry = ERR_PTR(error);
	}
	inode_unlock(d_inode(path->dentry));
	path_put(path);
	return dentry;
}

struct dentry *kern_path_create(const char *pathname, struct path *path)
{
	struct filename *name = getname_kernel(pathname);
	struct dentry *dentry = filename_create(AT_FDCWD, name, path, true);

	putname(name);
	return dentry;
}

struct dentry *user_path_create(const char __user *pathname, struct path *path)
{
	struct filename *name = getname(pathname);
	struct dentry *dentry = filename_create(AT_FDCWD, name, path, false);

	putname(name);
	return dentry;
}

void done_path_create(struct path *path, struct dentry *dentry)
{
	dput(dentry);
	inode_unlock(d_inode(path->dentry));
	path_put(path);
}

static int do_mknodat(int dfd, struct filename *name, umode_t mode, dev_t dev)
{
	struct path path;
	struct dentry *dentry = filename_create(dfd, name, &path, false);
	struct inode *dir;
	int error = -EINVAL;

	if (IS_ERR(dentry)) {
		putname(name);
		return PTR_ERR(dentry);
	}
	dir = d_inode(path.dentry);
	mode &= ~current_umask();
	if (!(mode & S_IFMT) || S_ISREG(mode))
		error = vfs_create(INIT_USER_NS, dir, dentry, mode, true);
	else if (S_ISCHR(mode))
		error = vfs_mknod(INIT_USER_NS, dir, dentry, mode, dev);
	done_path_create(&path, dentry);
	putname(name);
	return error;
}

/* The name is used up, here and below: putname() is called for it. */
noinline int do_mkdirat(int dfd, struct filename *name, umode_t mode)
{
	struct path path;
	struct dentry *dentry = filename_create(dfd, name, &path, true);
	int error = PTR_ERR(dentry);

	if (!IS_ERR(dentry)) {
		error = vfs_mkdir(INIT_USER_NS, d_inode(path.dentry), dentry, mode & ~current_umask());
		done_path_create(&path, dentry);
	}
	putname(name);
	return error;
}

/* rmdir and unlink: find the directory, lock it, look the name up, remove it. */
static int remove_name(int dfd, struct filename *name, bool isdir)
{
	static const int errors_dir[] = { [LAST_ROOT] = -EBUSY, [LAST_DOT] = -EINVAL, [LAST_DOTDOT] = -ENOTEMPTY };
	struct path parent;
	struct qstr last;
	struct dentry *dentry;
	struct inode *dir;
	int type, error = filename_parentat(dfd, name, &parent, &last, &type);

	if (error)
		return error;
	dir = d_inode(parent.dentry);
	if (type != LAST_NORM) {
		path_put(&parent);
		return isdir ? errors_dir[type] : -EISDIR;
	}
	inode_lock(dir);
	dentry = __lookup_hash(&last, parent.dentry, 0);
	if (IS_ERR(dentry)) {
		error = PTR_ERR(dentry);
	} else {
		if (isdir)
			error = vfs_rmdir(INIT_USER_NS, dir, dentry);
		else if (last.name[last.len] && !d_is_negative(dentry))
			error = d_is_dir(dentry) ? -EISDIR : -ENOTDIR;
		else
			error = vfs_unlink(INIT_USER_NS, dir, dentry);
		dput(dentry);
	}
	inode_unlock(dir);
	path_put(&parent);
	return error;
}

noinline int do_rmdir(int dfd, struct filename *name)
{
	int error = remove_name(dfd, name, true);

	putname(name);
	return error;
}

noinline int do_unlinkat(int dfd, struct filename *name)
{
	int error = remove_name(dfd, name, false);

	putname(name);
	return error;
}

SYSCALL_DEFINE4(mknodat, int, dfd, const char __user *, filename, umode_t, mode, unsigned int, dev)
{
	return do_mknodat(dfd, getname(filename), mode, MKDEV(dev >> 8 & 0xfff, dev & 0xff));
}

SYSCALL_DEFINE3(mknod, const char __user *, filename, umode_t, mode, unsigned int, dev)
{
	return do_mknodat(AT_FDCWD, getname(filename), mode, MKDEV(dev >> 8 & 0xfff, dev & 0xff));
}

SYSCALL_DEFINE3(mkdirat, int, dfd, const char __user *, pathname, umode_t, mode)
{
	return do_mkdirat(dfd, getname(pathname), mode);
}

SYSCALL_DEFINE2(mkdir, const char __user *, pathname, umode_t, mode)
{
	return do_mkdirat(AT_FDCWD, getname(pathname), mode);
}

SYSCALL_DEFINE1(rmdir, const char __user *, pathname)
{
	return do_rmdir(AT_FDCWD, getname(pathname));
}

SYSCALL_DEFINE3(unlinkat, int, dfd, const char __user *, pathname, int, flag)
{
	if (flag & ~AT_REMOVEDIR)
		return -EINVAL;
	if (flag & AT_REMOVEDIR)
		return do_rmdir(dfd, getname(pathname));
	return do_unlinkat(dfd, getname(pathname));
}

SYSCALL_DEFINE1(unlink, const char __user *, pathname)
{
	return do_unlinkat(AT_FDCWD, getname(pathname));
}
