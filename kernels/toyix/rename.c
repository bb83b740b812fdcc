/* rename.c: a file gets another name, perhaps in another directory. */
#include "namei.h"
#include "syscalls.h"

/* Renames are rare: one lock for all keeps the tree still while two directories are locked. */
static DEFINE_MUTEX(s_vfs_rename_mutex);

/* Whether dentry is dir or lies below it. */
static bool is_below(struct dentry *dentry, struct dentry *dir)
{
	for (; dentry != dir; dentry = dentry->d_parent)
		if (dentry == dentry->d_parent)
			return false;
	return true;
}

/* Everybody locks a directory before what is in it, or two renames, or one and an rmdir, would wait for each other. */
static void lock_rename(struct dentry *a, struct dentry *b)
{
	bool b_first;

	mutex_lock(&s_vfs_rename_mutex);
	b_first = is_below(a, b) || (!is_below(b, a) && b < a);
	inode_lock(d_inode(b_first ? b : a));
	if (a != b)
		inode_lock(d_inode(b_first ? a : b));
}

static void unlock_rename(struct dentry *a, struct dentry *b)
{
	inode_unlock(d_inode(a));
	if (a != b)
		inode_unlock(d_inode(b));
	mutex_unlock(&s_vfs_rename_mutex);
}

noinline int vfs_rename(struct renamedata *rd)
{
	bool isdir = d_is_dir(rd->old_dentry);
	struct inode *replaced = d_inode(rd->new_dentry);
	int error = may_delete(rd->old_dir, rd->old_dentry, isdir);

	if (!error && d_is_negative(rd->new_dentry))
		error = may_create(rd->new_dir, rd->new_dentry);
	else if (!error)
		error = may_delete(rd->new_dir, rd->new_dentry, isdir);
	if (!error && rd->old_dir->i_sb != rd->new_dir->i_sb)
		error = -EXDEV;
	if (!error && !rd->old_dir->i_op->rename)
		error = -EPERM;
	if (error)
		return error;
	if (replaced)
		inode_lock(replaced);
	error = rd->old_dir->i_op->rename(rd->new_mnt_userns, rd->old_dir, rd->old_dentry, rd->new_dir, rd->new_dentry,
					  rd->flags);
	if (replaced)
		inode_unlock(replaced);
	if (!error)
		d_move(rd->old_dentry, rd->new_dentry);
	return error;
}

/* Both directories are locked. */
static int do_rename_locked(struct path *old_parent, struct qstr *old_last, struct path *new_parent, struct qstr *new_last)
{
	struct renamedata rd = { .old_dir = d_inode(old_parent->dentry), .new_dir = d_inode(new_parent->dentry) };
	int error;

	rd.old_dentry = __lookup_hash(old_last, old_parent->dentry, 0);
	if (IS_ERR(rd.old_dentry))
		return PTR_ERR(rd.old_dentry);
	rd.new_dentry = __lookup_hash(new_last, new_parent->dentry, 0);
	if (IS_ERR(rd.new_dentry)) {
		dput(rd.old_dentry);
		return PTR_ERR(rd.new_dentry);
	}
	if (d_is_negative(rd.old_dentry))
		error = -ENOENT;
	else if (d_is_dir(rd.old_dentry) && is_below(new_parent->dentry, rd.old_dentry))
		error = -EINVAL;
	else if (!d_is_negative(rd.new_dentry) && is_below(old_parent->dentry, rd.new_dentry))
		error = -ENOTEMPTY;
	else if (!d_is_dir(rd.old_dentry) && (old_last->name[old_last->len] || new_last->name[new_last->len]))
		error = -ENOTDIR;
	else if (d_inode(rd.old_dentry) == d_inode(rd.new_dentry))
		error = 0;
	else
		error = vfs_rename(&rd);
	dput(rd.new_dentry);
	dput(rd.old_dentry);
	return error;
}

noinline int do_renameat2(int olddfd, struct filename *from, int newdfd, struct filename *to)
{
	struct path old_parent, new_parent;
	struct qstr old_last, new_last;
	int old_type, new_type;
	int error = filename_parentat(olddfd, from, &old_parent, &old_last, &old_type);

	if (error)
		goto put_names;
	error = filename_parentat(newdfd, to, &new_parent, &new_last, &new_type);
	if (error)
		goto put_old;
	error = -EBUSY;
	if (old_type == LAST_NORM && new_type == LAST_NORM) {
		lock_rename(old_parent.dentry, new_parent.dentry);
		error = do_rename_locked(&old_parent, &old_last, &new_parent, &new_last);
		unlock_rename(old_parent.dentry, new_parent.dentry);
	}
	path_put(&new_parent);
put_old:
	path_put(&old_parent);
put_names:
	putname(from);
	putname(to);
	return error;
}

SYSCALL_DEFINE4(renameat, int, olddfd, const char __user *, oldname, int, newdfd, const char __user *, newname)
{
	return do_renameat2(olddfd, getname(oldname), newdfd, getname(newname));
}

SYSCALL_DEFINE2(rename, const char __user *, oldname, const char __user *, newname)
{
	return do_renameat2(AT_FDCWD, getname(oldname), AT_FDCWD, getname(newname));
}
