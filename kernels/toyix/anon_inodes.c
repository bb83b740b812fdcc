/* anon_inodes.c: files that are no files: descriptors of kernel objects. All share one inode. (Linux: fs/anon_inodes.c.) */
#include "anon_inodes.h"
#include "fdtable.h"

/* A descriptor, or -errno: then whoever calls still holds priv. */
noinline int anon_inode_getfd(const char *name, const struct file_operations *fops, void *priv, int flags)
{
	static struct inode *anon_inode_inode;
	struct file *file;
	int fd;

	if (!anon_inode_inode) {
		struct inode *inode = new_inode(root_mount.mnt.mnt_sb, 0600);

		if (!inode)
			return -ENOMEM;
		if (!__sync_bool_compare_and_swap(&anon_inode_inode, NULL, inode))
			iput(inode);
	}
	ihold(anon_inode_inode);
	file = alloc_file_pseudo(anon_inode_inode, &root_mount.mnt, name, flags & (O_ACCMODE | O_NONBLOCK), fops);
	if (IS_ERR(file)) {
		iput(anon_inode_inode);
		return PTR_ERR(file);
	}
	file->private_data = priv;
	fd = get_unused_fd_flags(flags);
	if (fd < 0) {
		/* The caller still holds what it has passed. */
		file->private_data = NULL;
		fput(file);
	} else {
		fd_install(fd, file);
	}
	return fd;
}
