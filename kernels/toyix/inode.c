/* inode.c: inodes: a file apart from its names. Reference counts and permissions. */
#include "fs.h"
#include "sched.h"

/* Freed by iput() when nobody uses it and no name is left. Starts with one reference. */
noinline struct inode *new_inode(struct super_block *sb, umode_t mode)
{
	static atomic_t last_ino;
	struct inode *inode = kzalloc(sizeof(*inode), GFP_KERNEL);

	if (!inode)
		return NULL;
	inode->i_mode = mode;
	inode->i_sb = sb;
	inode->i_ino = atomic_inc_return(&last_ino);
	inode->i_nlink = 1;
	inode->i_mapping = &inode->i_data;
	inode->i_data.host = inode;
	atomic_set(&inode->i_count, 1);
	mutex_init(&inode->i_rwsem);
	inode->i_uid = current_cred()->fsuid;
	inode->i_gid = current_cred()->fsgid;
	inode->i_atime = inode->i_mtime = inode->i_ctime = current_time(inode);
	return inode;
}

void ihold(struct inode *inode)
{
	atomic_inc(&inode->i_count);
}

noinline void iput(struct inode *inode)
{
	if (!atomic_dec_and_test(&inode->i_count))
		return;
	truncate_inode_pages(&inode->i_data, 0);
	if (inode->i_pipe)
		free_pipe_info(inode->i_pipe);
	kfree(inode);
}

/* Seconds since power-on: this machine has no calendar. */
struct timespec64 current_time(struct inode *inode)
{
	u64 now = ktime_get_ns();

	return (struct timespec64){ .tv_sec = now / NSEC_PER_SEC, .tv_nsec = now % NSEC_PER_SEC };
}

/* Owner, group or others: the three bits of i_mode that apply to the caller must hold all of mask. */
noinline int generic_permission(struct user_namespace *ns, struct inode *inode, int mask)
{
	const struct cred *cred = current_cred();
	unsigned int mode = inode->i_mode;

	/* Root passes, but runs only what somebody may run. */
	if (cred->fsuid.val == 0)
		return !(mask & MAY_EXEC) || S_ISDIR(mode) || (mode & S_IXUGO) ? 0 : -EACCES;
	if (cred->fsuid.val == inode->i_uid.val)
		mode >>= 6;
	else if (cred->fsgid.val == inode->i_gid.val)
		mode >>= 3;
	return mask & ~mode ? -EACCES : 0;
}

noinline int inode_permission(struct user_namespace *ns, struct inode *inode, int mask)
{
	return generic_permission(ns, inode, mask);
}
