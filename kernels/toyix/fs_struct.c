/* fs_struct.c: where a process stands in the tree: root, working directory, umask. */
#include "fdtable.h"
#include "namei.h"
#include "syscalls.h"

struct fs_struct init_fs = { .users = 1, .umask = 0022 };

void path_get(const struct path *path)
{
	dget(path->dentry);
}

void path_put(const struct path *path)
{
	dput(path->dentry);
}

void get_fs_root(struct fs_struct *fs, struct path *root)
{
	spin_lock(&fs->lock);
	*root = fs->root;
	path_get(root);
	spin_unlock(&fs->lock);
}

void get_fs_pwd(struct fs_struct *fs, struct path *pwd)
{
	spin_lock(&fs->lock);
	*pwd = fs->pwd;
	path_get(pwd);
	spin_unlock(&fs->lock);
}

void set_fs_pwd(struct fs_struct *fs, const struct path *path)
{
	struct path old;

	path_get(path);
	spin_lock(&fs->lock);
	old = fs->pwd;
	fs->pwd = *path;
	spin_unlock(&fs->lock);
	if (old.dentry)
		path_put(&old);
}

int copy_fs(unsigned long clone_flags, struct task_struct *tsk)
{
	struct fs_struct *old = current->fs, *new;

	if (clone_flags & CLONE_FS) {
		spin_lock(&old->lock);
		old->users++;
		spin_unlock(&old->lock);
		tsk->fs = old;
		return 0;
	}
	new = kzalloc(sizeof(*new), GFP_KERNEL);
	if (!new)
		return -ENOMEM;
	new->users = 1;
	new->umask = old->umask;
	get_fs_root(old, &new->root);
	get_fs_pwd(old, &new->pwd);
	tsk->fs = new;
	return 0;
}

noinline void exit_fs(struct task_struct *tsk)
{
	struct fs_struct *fs = tsk->fs;
	int users;

	if (!fs)
		return;
	tsk->fs = NULL;
	spin_lock(&fs->lock);
	users = --fs->users;
	spin_unlock(&fs->lock);
	if (users)
		return;
	path_put(&fs->root);
	path_put(&fs->pwd);
	kfree(fs);
}

SYSCALL_DEFINE1(chdir, const char __user *, filename)
{
	struct path path;
	int error = user_path_at(AT_FDCWD, filename, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &path);

	if (error)
		return error;
	error = inode_permission(INIT_USER_NS, d_inode(path.dentry), MAY_EXEC);
	if (!error)
		set_fs_pwd(current->fs, &path);
	path_put(&path);
	return error;
}

SYSCALL_DEFINE1(umask, int, mask)
{
	struct fs_struct *fs = current->fs;
	int old;

	spin_lock(&fs->lock);
	old = fs->umask;
	fs->umask = mask & 0777;
	spin_unlock(&fs->lock);
	return old;
}
