/* file_table.c: open files: made, shared by reference, and closed with the last one. */
#include "fs.h"
#include "sched.h"
#include "string.h"

static fmode_t open_fmode(int flags)
{
	/* O_RDONLY, O_WRONLY, O_RDWR are 0, 1, 2; one more makes the two bits mean read and write. */
	return (flags + 1) & O_ACCMODE;
}

noinline struct file *alloc_empty_file(int flags, const struct cred *cred)
{
	struct file *file = kzalloc(sizeof(*file), GFP_KERNEL);

	if (!file)
		return ERR_PTR(-ENOMEM);
	atomic_set(&file->f_count, 1);
	mutex_init(&file->f_pos_lock);
	file->f_flags = flags;
	file->f_mode = open_fmode(flags);
	file->f_cred = cred;
	return file;
}

/* An open file that is in no directory. Takes over the reference to inode, unless it fails. */
struct file *alloc_file_pseudo(struct inode *inode, struct vfsmount *mnt, const char *name, int flags,
			       const struct file_operations *fops)
{
	struct qstr this = QSTR_INIT(name, strlen(name));
	struct file *file = alloc_empty_file(flags, current_cred());

	if (IS_ERR(file))
		return file;
	file->f_path.mnt = mnt;
	file->f_path.dentry = d_alloc_pseudo(inode->i_sb, &this);
	if (!file->f_path.dentry) {
		fput(file);
		return ERR_PTR(-ENOMEM);
	}
	d_instantiate(file->f_path.dentry, inode);
	file->f_inode = inode;
	file->f_mapping = inode->i_mapping;
	file->f_op = fops;
	file->f_mode |= FMODE_OPENED;
	if (fops->read || fops->read_iter)
		file->f_mode |= file->f_mode & FMODE_READ ? FMODE_CAN_READ : 0;
	if (fops->write || fops->write_iter)
		file->f_mode |= file->f_mode & FMODE_WRITE ? FMODE_CAN_WRITE : 0;
	return file;
}

struct file *get_file(struct file *f)
{
	atomic_inc(&f->f_count);
	return f;
}

static noinline void __fput(struct file *file)
{
	if (file->f_mode & FMODE_OPENED) {
		if (file->f_op->release)
			file->f_op->release(file->f_inode, file);
		path_put(&file->f_path);
	}
	kfree(file);
}

/* Linux puts __fput() off until the task returns to user mode; here it runs at once. */
noinline void fput(struct file *file)
{
	if (atomic_dec_and_test(&file->f_count))
		__fput(file);
}
