/*
 * namei.c: from a path name to a dentry.
 *
 *   filename_lookup  ->  path_init: start at the root, the working directory or an open directory
 *                        link_path_walk: every component but the last
 *                          walk_component  ->  lookup_fast: the dentry cache
 *                                              lookup_slow: the file system, under the directory's lock
 *                        walk_component: the last
 *
 * Linux tries the whole walk first without taking references (RCU), and only then as here. There are no symbolic links
 * and nothing is mounted below the root.
 */
#include "fdtable.h"
#include "namei.h"
#include "sched.h"
#include "string.h"
#include "uaccess.h"

/* Copies a path name in. The structure and the text share one page. */
noinline struct filename *getname_flags(const char __user *filename, int flags)
{
	struct filename *result = (struct filename *)__get_free_page(GFP_KERNEL);
	long max = PAGE_SIZE - sizeof(*result), len;

	if (!result)
		return ERR_PTR(-ENOMEM);
	result->uptr = filename;
	result->name = result->iname;
	len = strncpy_from_user(result->iname, filename, max);
	if (len >= max)
		len = -ENAMETOOLONG;
	else if (!len && !(flags & LOOKUP_EMPTY))
		len = -ENOENT;
	if (len < 0) {
		putname(result);
		return ERR_PTR(len);
	}
	return result;
}

noinline struct filename *getname(const char __user *filename)
{
	return getname_flags(filename, 0);
}

noinline struct filename *getname_kernel(const char *filename)
{
	struct filename *result = (struct filename *)__get_free_page(GFP_KERNEL);

	if (!result)
		return ERR_PTR(-ENOMEM);
	result->uptr = NULL;
	result->name = result->iname;
	if (strscpy(result->iname, filename, PAGE_SIZE - sizeof(*result)) < 0) {
		putname(result);
		return ERR_PTR(-ENAMETOOLONG);
	}
	return result;
}

noinline void putname(struct filename *name)
{
	if (!IS_ERR_OR_NULL(name))
		free_page((unsigned long)name);
}

void set_nameidata(struct nameidata *nd, int dfd, struct filename *name)
{
	*nd = (struct nameidata){ .dfd = dfd, .name = name };
}

/* Puts nd where the walk begins and returns the text to walk. */
noinline const char *path_init(struct nameidata *nd, unsigned int flags)
{
	const char *s = nd->name->name;

	nd->flags = flags;
	nd->last_type = LAST_ROOT;
	get_fs_root(current->fs, &nd->root);
	if (*s == '/') {
		nd->path = nd->root;
		path_get(&nd->path);
	} else if (nd->dfd == AT_FDCWD) {
		get_fs_pwd(current->fs, &nd->path);
	} else {
		struct fd f = fdget(nd->dfd);

		if (!f.file)
			return ERR_PTR(-EBADF);
		if (*s && !d_is_dir(f.file->f_path.dentry)) {
			fdput(f);
			return ERR_PTR(-ENOTDIR);
		}
		nd->path = f.file->f_path;
		path_get(&nd->path);
		fdput(f);
	}
	nd->inode = d_inode(nd->path.dentry);
	return s;
}

void terminate_walk(struct nameidata *nd)
{
	if (nd->path.dentry)
		path_put(&nd->path);
	if (nd->root.dentry)
		path_put(&nd->root);
	nd->path.dentry = nd->root.dentry = NULL;
}

/* "name/" with a slash behind it stands for a directory only. */
bool nd_wants_directory(struct nameidata *nd)
{
	return (nd->flags & LOOKUP_DIRECTORY) || (nd->last_type == LAST_NORM && nd->last.name[nd->last.len]);
}

/* A dentry with a reference; NULL: the cache does not know. */
noinline struct dentry *lookup_fast(struct nameidata *nd)
{
	return __d_lookup(nd->path.dentry, &nd->last);
}

/* Asks the file system. A name that does not exist comes back as a negative dentry. The directory is locked. */
static struct dentry *lookup_real(struct dentry *dir, const struct qstr *name, unsigned int flags)
{
	struct dentry *dentry, *other;

	if (name->len > NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	dentry = d_alloc(dir, name);
	if (!dentry)
		return ERR_PTR(-ENOMEM);
	other = d_inode(dir)->i_op->lookup(d_inode(dir), dentry, flags);
	if (other) {
		dput(dentry);
		dentry = other;
	}
	return dentry;
}

/* With the directory's lock held: from the cache or from the file system. */
noinline struct dentry *__lookup_hash(const struct qstr *name, struct dentry *base, unsigned int flags)
{
	struct dentry *dentry = d_lookup(base, name);

	return dentry ? dentry : lookup_real(base, name, flags);
}

/* Asks the cache again first: while we waited for the lock, another task may have looked the same name up. */
noinline struct dentry *lookup_slow(const struct qstr *name, struct dentry *dir, unsigned int flags)
{
	struct inode *inode = d_inode(dir);
	struct dentry *dentry;

	inode_lock(inode);
	dentry = __lookup_hash(name, dir, flags);
	inode_unlock(inode);
	return dentry;
}

noinline int handle_dots(struct nameidata *nd, int type)
{
	struct dentry *parent;

	if (type != LAST_DOTDOT || nd->path.dentry == nd->root.dentry)
		return 0;
	parent = dget_parent(nd->path.dentry);
	dput(nd->path.dentry);
	nd->path.dentry = parent;
	nd->inode = d_inode(parent);
	return 0;
}

/* Moves on to a dentry, whose reference it takes over. */
int step_into(struct nameidata *nd, struct dentry *dentry)
{
	if (d_is_negative(dentry)) {
		dput(dentry);
		return -ENOENT;
	}
	dput(nd->path.dentry);
	nd->path.dentry = dentry;
	nd->inode = d_inode(dentry);
	return 0;
}

noinline int walk_component(struct nameidata *nd)
{
	struct dentry *dentry;

	if (nd->last_type != LAST_NORM)
		return handle_dots(nd, nd->last_type);
	dentry = lookup_fast(nd);
	if (!dentry)
		dentry = lookup_slow(&nd->last, nd->path.dentry, nd->flags);
	if (IS_ERR(dentry))
		return PTR_ERR(dentry);
	return step_into(nd, dentry);
}

static int type_of_component(const char *name, u32 len)
{
	if (len == 1 && name[0] == '.')
		return LAST_DOT;
	if (len == 2 && name[0] == '.' && name[1] == '.')
		return LAST_DOTDOT;
	return LAST_NORM;
}

/* Walks all components but the last, which is left in nd->last. */
noinline int link_path_walk(const char *name, struct nameidata *nd)
{
	while (*name == '/')
		name++;
	if (!*name)
		return 0;
	for (;;) {
		const char *end = name;
		int error;

		if (!S_ISDIR(nd->inode->i_mode))
			return -ENOTDIR;
		error = inode_permission(INIT_USER_NS, nd->inode, MAY_EXEC);
		if (error)
			return error;
		while (*end && *end != '/')
			end++;
		nd->last.name = (const unsigned char *)name;
		nd->last.len = end - name;
		nd->last.hash = full_name_hash(nd->path.dentry, name, nd->last.len);
		nd->last_type = type_of_component(name, nd->last.len);
		while (*end == '/')
			end++;
		if (!*end)
			return 0;
		error = walk_component(nd);
		if (error)
			return error;
		name = end;
	}
}

static int path_lookupat(struct nameidata *nd, unsigned int flags, struct path *path)
{
	const char *s = path_init(nd, flags);
	int error = IS_ERR(s) ? PTR_ERR(s) : link_path_walk(s, nd);

	if (!error)
		error = walk_component(nd);
	if (!error && nd_wants_directory(nd) && !S_ISDIR(nd->inode->i_mode))
		error = -ENOTDIR;
	if (!error) {
		*path = nd->path;
		nd->path.dentry = NULL;
	}
	terminate_walk(nd);
	return error;
}

/* The file that a name stands for, with a reference. */
noinline int filename_lookup(int dfd, struct filename *name, unsigned int flags, struct path *path)
{
	struct nameidata nd;

	if (IS_ERR(name))
		return PTR_ERR(name);
	set_nameidata(&nd, dfd, name);
	return path_lookupat(&nd, flags, path);
}

/* The directory that the last component is in, and that component. Last points into name. */
noinline int filename_parentat(int dfd, struct filename *name, struct path *parent, struct qstr *last, int *type)
{
	struct nameidata nd;
	const char *s;
	int error;

	if (IS_ERR(name))
		return PTR_ERR(name);
	set_nameidata(&nd, dfd, name);
	s = path_init(&nd, LOOKUP_PARENT);
	error = IS_ERR(s) ? PTR_ERR(s) : link_path_walk(s, &nd);
	if (!error) {
		*parent = nd.path;
		*last = nd.last;
		*type = nd.last_type;
		nd.path.dentry = NULL;
	}
	terminate_walk(&nd);
	return error;
}

noinline int user_path_at(int dfd, const char __user *name, unsigned int flags, struct path *path)
{
	struct filename *filename = getname_flags(name, flags);
	int error = filename_lookup(dfd, filename, flags, path);

	putname(filename);
	return error;
}
