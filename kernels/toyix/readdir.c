/* readdir.c: the names in a directory. */
#include "fdtable.h"
#include "string.h"
#include "syscalls.h"

#define DT_MODE(mode)	(((mode) & S_IFMT) >> 12)

struct linux_dirent64 {
	u64 d_ino;		/*  0 */
	s64 d_off;		/*  8: position behind this entry */
	unsigned short d_reclen; /* 16 */
	unsigned char d_type;	/* 18 */
	char d_name[];		/* 19 */
};

struct getdents_callback64 {
	struct dir_context ctx;
	char __user *at;
	int left;
	int error;
};

static bool filldir64(struct dir_context *ctx, const char *name, int len, loff_t pos, u64 ino, unsigned int type)
{
	struct getdents_callback64 *buf = container_of(ctx, struct getdents_callback64, ctx);
	struct linux_dirent64 header = { .d_ino = ino, .d_off = pos, .d_type = type };
	int size = ALIGN(offsetof(struct linux_dirent64, d_name) + len + 1, 8UL);

	if (size > buf->left) {
		buf->error = -EINVAL;
		return false;
	}
	header.d_reclen = size;
	if (copy_to_user(buf->at, &header, offsetof(struct linux_dirent64, d_name)) ||
	    copy_to_user(buf->at + offsetof(struct linux_dirent64, d_name), name, len + 1)) {
		buf->error = -EFAULT;
		return false;
	}
	buf->at += size;
	buf->left -= size;
	return true;
}

/* Positions: 0 is ".", 1 is "..", from 2 on what is in the directory. False when there is no room for these two. */
bool dir_emit_dots(struct file *file, struct dir_context *ctx)
{
	struct dentry *dir = file->f_path.dentry;

	if (ctx->pos == 0) {
		if (!ctx->actor(ctx, ".", 1, 1, d_inode(dir)->i_ino, DT_MODE(S_IFDIR)))
			return false;
		ctx->pos = 1;
	}
	if (ctx->pos == 1) {
		struct dentry *parent = dget_parent(dir);
		bool room = ctx->actor(ctx, "..", 2, 2, d_inode(parent)->i_ino, DT_MODE(S_IFDIR));

		dput(parent);
		if (!room)
			return false;
		ctx->pos = 2;
	}
	return true;
}

/* The children in order of creation. */
noinline int dcache_readdir(struct file *file, struct dir_context *ctx)
{
	struct dentry *dir = file->f_path.dentry, *child;

	if (!dir_emit_dots(file, ctx))
		return 0;
	while ((child = d_child_at(dir, ctx->pos - 2))) {
		bool room = ctx->actor(ctx, (const char *)child->d_name.name, child->d_name.len, ctx->pos + 1,
				       d_inode(child)->i_ino, DT_MODE(d_inode(child)->i_mode));

		dput(child);
		if (!room)
			break;
		ctx->pos++;
	}
	return 0;
}

noinline int iterate_dir(struct file *file, struct dir_context *ctx)
{
	struct inode *inode = file_inode(file);
	int error;

	if (!file->f_op->iterate_shared)
		return -ENOTDIR;
	inode_lock(inode);
	ctx->pos = file->f_pos;
	error = file->f_op->iterate_shared(file, ctx);
	file->f_pos = ctx->pos;
	inode_unlock(inode);
	return error;
}

SYSCALL_DEFINE3(getdents64, unsigned int, fd, struct linux_dirent64 __user *, dirent, unsigned int, count)
{
	struct getdents_callback64 buf = { .ctx.actor = filldir64, .at = (char __user *)dirent, .left = count };
	struct fd f = fdget_pos(fd);
	int error;

	if (!f.file)
		return -EBADF;
	error = iterate_dir(f.file, &buf.ctx);
	fdput_pos(f);
	if (error)
		return error;
	/* A buffer that took at least one entry is a success. */
	return buf.at != (char __user *)dirent ? buf.at - (char __user *)dirent : buf.error;
}
