/*
 * namei_open.c: the last component of an open: found or created, checked, opened.
 *
 *   do_filp_open  ->  path_openat  ->  link_path_walk: up to the last component (namei.c)
 *                                      open_last_lookups: the last one; with O_CREAT, lookup_open under the directory's lock
 *                                      do_open: may we, then vfs_open (open.c)
 */
#include "fdtable.h"
#include "namei.h"

/*
 * Creating calls the file system directly: as in Linux, open(O_CREAT) never comes through vfs_create(). Who traces new
 * files there sees only mknod(2).
 */
static struct dentry *lookup_open(struct nameidata *nd, struct file *file, const struct open_flags *op)
{
	struct inode *dir = nd->inode;
	struct dentry *dentry = __lookup_hash(&nd->last, nd->path.dentry, nd->flags);
	int error;

	if (IS_ERR(dentry) || !d_is_negative(dentry))
		return dentry;
	error = may_change(dir);
	if (!error && !dir->i_op->create)
		error = -EACCES;
	if (!error)
		error = dir->i_op->create(INIT_USER_NS, dir, dentry, op->mode & ~current_umask(), op->open_flag & O_EXCL);
	if (error) {
		dput(dentry);
		return ERR_PTR(error);
	}
	file->f_mode |= FMODE_CREATED;
	return dentry;
}

static int open_last_lookups(struct nameidata *nd, struct file *file, const struct open_flags *op)
{
	struct inode *dir = nd->inode;
	struct dentry *dentry;

	if (!(op->open_flag & O_CREAT))
		return walk_component(nd);
	if (nd->last_type != LAST_NORM || nd->last.name[nd->last.len])
		return -EISDIR;
	inode_lock(dir);
	dentry = lookup_open(nd, file, op);
	inode_unlock(dir);
	return IS_ERR(dentry) ? PTR_ERR(dentry) : step_into(nd, dentry);
}

static int may_open(struct inode *inode, int acc_mode)
{
	if (S_ISDIR(inode->i_mode) && (acc_mode & MAY_WRITE))
		return -EISDIR;
	if ((acc_mode & MAY_EXEC) && !S_ISREG(inode->i_mode))
		return -EACCES;
	return inode_permission(INIT_USER_NS, inode, acc_mode);
}

static int do_open(struct nameidata *nd, struct file *file, const struct open_flags *op)
{
	bool created = file->f_mode & FMODE_CREATED;
	int error;

	if ((op->open_flag & O_CREAT) && !created) {
		if (op->open_flag & O_EXCL)
			return -EEXIST;
		if (S_ISDIR(nd->inode->i_mode))
			return -EISDIR;
	}
	if (nd_wants_directory(nd) && !S_ISDIR(nd->inode->i_mode))
		return -ENOTDIR;
	/* Who creates a file may open it, whatever mode he gave it. */
	error = created ? 0 : may_open(nd->inode, op->acc_mode);
	if (!error)
		error = vfs_open(&nd->path, file);
	if (!error && (op->open_flag & O_TRUNC) && S_ISREG(nd->inode->i_mode) && !created)
		error = do_truncate(nd->path.dentry, 0);
	return error;
}

static noinline struct file *path_openat(struct nameidata *nd, const struct open_flags *op)
{
	struct file *file = alloc_empty_file(op->open_flag, current_cred());
	const char *s;
	int error;

	if (IS_ERR(file))
		return file;
	s = path_init(nd, op->lookup_flags);
	error = IS_ERR(s) ? PTR_ERR(s) : link_path_walk(s, nd);
	if (!error)
		error = open_last_lookups(nd, file, op);
	if (!error)
		error = do_open(nd, file, op);
	terminate_walk(nd);
	if (!error)
		return file;
	fput(file);
	return ERR_PTR(error);
}

noinline struct file *do_filp_open(int dfd, struct filename *pathname, const struct open_flags *op)
{
	struct nameidata nd;

	set_nameidata(&nd, dfd, pathname);
	return path_openat(&nd, op);
}
