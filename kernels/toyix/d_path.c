/* d_path.c: from a dentry back to its path. */
#include "fdtable.h"
#include "string.h"
#include "syscalls.h"

/* Puts text in front of what is in the buffer already. */
static int prepend(char **at, char *start, const char *text, size_t len)
{
	if (*at - start < (long)len)
		return -ENAMETOOLONG;
	*at -= len;
	memcpy(*at, text, len);
	return 0;
}

/* Builds the path at the end of buf, from the last name to the first, and returns where it begins. */
noinline char *d_path(const struct path *path, char *buf, int buflen)
{
	char *at = buf + buflen;
	struct dentry *dentry = dget(path->dentry);
	int error = prepend(&at, buf, "", 1);

	if (!error && dentry->d_parent != dentry && d_unhashed(dentry))
		error = prepend(&at, buf, " (deleted)", 10);
	if (!error && dentry->d_parent == dentry)
		error = prepend(&at, buf, "/", 1);
	while (!error && dentry->d_parent != dentry) {
		struct dentry *parent = dget_parent(dentry);

		error = prepend(&at, buf, (const char *)dentry->d_name.name, dentry->d_name.len);
		if (!error)
			error = prepend(&at, buf, "/", 1);
		dput(dentry);
		dentry = parent;
	}
	dput(dentry);
	return error ? ERR_PTR(error) : at;
}

/* Returns the length with the NUL, as the system call does and the library function does not. */
SYSCALL_DEFINE2(getcwd, char __user *, buf, unsigned long, size)
{
	struct path pwd;
	char *page = (char *)__get_free_page(GFP_KERNEL), *text;
	long len;

	if (!page)
		return -ENOMEM;
	get_fs_pwd(current->fs, &pwd);
	text = d_path(&pwd, page, PATH_MAX);
	path_put(&pwd);
	if (IS_ERR(text)) {
		len = PTR_ERR(text);
	} else {
		len = page + PATH_MAX - text;
		if ((unsigned long)len > size)
			len = -ERANGE;
		else if (copy_to_user(buf, text, len))
			len = -EFAULT;
	}
	free_page((unsigned long)page);
	return len;
}
