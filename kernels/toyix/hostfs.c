/*
 * hostfs.c: the files that the host plays: tracefs, debugfs, bpffs and what there is of proc.
 *
 * A file is a node number, which is its inode number too. What a name stands for may change with every write to
 * kprobe_events, so dentries are kept no longer than they are used (DCACHE_DONTCACHE). The host sees kernel addresses
 * only: data goes by way of a page.
 */
#include "fs.h"
#include "hostfs.h"
#include "printk.h"
#include "processor.h"
#include "sched.h"
#include "string.h"
#include "trace.h"
#include "uaccess.h"

static const struct inode_operations hostfs_dir_inode_operations, hostfs_file_inode_operations, bpf_dir_iops;
static const struct file_operations hostfs_dir_operations, hostfs_file_operations;

/* /sys/fs/bpf, where names can be made, has a super block of its own. */
static struct super_block bpffs_sb = { .s_dev = MKDEV(0, 13), .s_blocksize = PAGE_SIZE, .s_id = "bpf" };
static struct super_block hostfs_sb = { .s_dev = MKDEV(0, 12), .s_blocksize = PAGE_SIZE, .s_id = "hostfs" };
static DECLARE_WAIT_QUEUE_HEAD(hostfs_wait);

bool is_bpffs(const struct inode *inode)
{
	return inode->i_sb == &bpffs_sb;
}

static struct inode *hostfs_get_inode(struct super_block *sb, unsigned long node, umode_t mode)
{
	struct inode *inode = new_inode(sb, mode);

	if (!inode)
		return NULL;
	inode->i_ino = node;
	/* All is root's, whoever has looked it up. */
	inode->i_uid.val = inode->i_gid.val = 0;
	if (S_ISDIR(mode))
		inode->i_op = sb == &bpffs_sb ? &bpf_dir_iops : &hostfs_dir_inode_operations;
	else
		inode->i_op = &hostfs_file_inode_operations;
	inode->i_fop = S_ISDIR(mode) ? &hostfs_dir_operations : &hostfs_file_operations;
	return inode;
}

static noinline struct dentry *hostfs_dir_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	long found = hostfs_lookup(dir->i_ino, dentry->d_name.name);
	struct inode *inode = NULL;

	if (found < 0 && found != -ENOENT)
		return ERR_PTR(found);
	if (found >= 0) {
		inode = hostfs_get_inode(dir->i_sb, found >> 16, found & 0xffff);
		if (!inode)
			return ERR_PTR(-ENOMEM);
		dentry->d_flags |= DCACHE_DONTCACHE;
	}
	d_add(dentry, inode);
	return NULL;
}

/* Names with dots are reserved for files that the file system itself may come to have. */
static noinline struct dentry *bpf_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	if (strchr((const char *)dentry->d_name.name, '.'))
		return ERR_PTR(-EPERM);
	return hostfs_dir_lookup(dir, dentry, flags);
}

/* The folders of instances/; in all others the host says no. */
static noinline int tracefs_syscall_mkdir(struct user_namespace *ns, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	return hostfs_mkdir(dir->i_ino, dentry->d_name.name);
}

static noinline int tracefs_syscall_rmdir(struct inode *dir, struct dentry *dentry)
{
	return hostfs_rmdir(dir->i_ino, dentry->d_name.name);
}

/* The new folder's dentry goes with its user; the next look-up makes another. */
static noinline int bpf_mkdir(struct user_namespace *ns, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	return hostfs_mkdir(dir->i_ino, dentry->d_name.name);
}

static noinline int bpf_unlink(struct inode *dir, struct dentry *dentry)
{
	return hostfs_unlink(dir->i_ino, dentry->d_name.name);
}

static noinline int bpf_rmdir(struct inode *dir, struct dentry *dentry)
{
	return hostfs_rmdir(dir->i_ino, dentry->d_name.name);
}

static noinline int hostfs_iterate(struct file *file, struct dir_context *ctx)
{
	unsigned long dir = file_inode(file)->i_ino;
	struct hostfs_dirent *entry;
	long more = 0;

	if (!dir_emit_dots(file, ctx))
		return 0;
	entry = kmalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return -ENOMEM;
	while ((more = hostfs_readdir(dir, ctx->pos - 2, entry)) > 0) {
		if (!ctx->actor(ctx, entry->name, strlen(entry->name), ctx->pos + 1, entry->node, (entry->mode & S_IFMT) >> 12))
			break;
		ctx->pos++;
	}
	kfree(entry);
	return min(more, 0L);
}

static noinline int hostfs_file_open(struct inode *inode, struct file *file)
{
	long handle = hostfs_open(inode->i_ino, file->f_flags);

	if (handle < 0)
		return handle;
	file->private_data = (void *)handle;
	return 0;
}

static int hostfs_file_release(struct inode *inode, struct file *file)
{
	return hostfs_release((unsigned long)file->private_data);
}

/* Where nothing is there yet (trace_pipe) the host raises IRQ_WORK_VECTOR once there is. */
static long read_or_wait(struct file *file, struct hostfs_io *io)
{
	unsigned long handle = (unsigned long)file->private_data;
	long ret = hostfs_read(handle, io), interrupted;

	if (ret != -EAGAIN || (file->f_flags & O_NONBLOCK))
		return ret;
	/* On the queue before the host is asked again, so that no interrupt is missed. */
	interrupted = wait_event_interruptible(hostfs_wait, (ret = hostfs_read(handle, io)) != -EAGAIN);
	return interrupted ? interrupted : ret;
}

static noinline ssize_t hostfs_file_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct hostfs_io io = { (char *)__get_free_page(GFP_KERNEL), min(count, PAGE_SIZE), *pos };
	long ret;

	if (!io.page)
		return -ENOMEM;
	ret = read_or_wait(file, &io);
	if (ret > 0 && copy_to_user(buf, io.page, ret))
		ret = -EFAULT;
	if (ret > 0)
		*pos += ret;
	free_page((unsigned long)io.page);
	return ret;
}

static noinline ssize_t hostfs_file_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	struct hostfs_io io = { (char *)__get_free_page(GFP_KERNEL), min(count, PAGE_SIZE), *pos };
	long ret;

	if (!io.page)
		return -ENOMEM;
	ret = copy_from_user(io.page, buf, io.count) ? -EFAULT : hostfs_write((unsigned long)file->private_data, &io);
	if (ret > 0)
		*pos += ret;
	free_page((unsigned long)io.page);
	return ret;
}

DEFINE_IDTENTRY_SYSVEC(sysvec_irq_work)
{
	trace_irq_work_entry(IRQ_WORK_VECTOR);
	wake_up_all(&hostfs_wait);
	trace_irq_work_exit(IRQ_WORK_VECTOR);
}

/* O_TRUNC has been dealt with by open; the files have no size. */
static int hostfs_setattr(struct user_namespace *ns, struct dentry *dentry, struct iattr *attr)
{
	return 0;
}

static ssize_t hostfs_read_dir(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	return -EISDIR;
}

static const struct inode_operations hostfs_dir_inode_operations = {
	.lookup = hostfs_dir_lookup,
	.mkdir = tracefs_syscall_mkdir,
	.rmdir = tracefs_syscall_rmdir,
};
static const struct inode_operations bpf_dir_iops = {
	.lookup = bpf_lookup,
	.mkdir = bpf_mkdir,
	.unlink = bpf_unlink,
	.rmdir = bpf_rmdir,
};
static const struct inode_operations hostfs_file_inode_operations = { .setattr = hostfs_setattr };

static const struct file_operations hostfs_dir_operations = {
	.read = hostfs_read_dir,
	.llseek = generic_file_llseek,
	.iterate_shared = hostfs_iterate,
	.fsync = noop_fsync,
};

static const struct file_operations hostfs_file_operations = {
	.open = hostfs_file_open,
	.release = hostfs_file_release,
	.read = hostfs_file_read,
	.write = hostfs_file_write,
	.llseek = generic_file_llseek,
	.fsync = noop_fsync,
};

/* Paths do not cross mounts here: the tree's root takes the place of a new folder. */
static void __init graft(const char *name, struct super_block *sb, unsigned long node, umode_t mode)
{
	struct path parent;
	struct dentry *dentry = kern_path_create(name, &parent);
	struct inode *inode = hostfs_get_inode(sb, node, S_IFDIR | mode);

	if (IS_ERR(dentry) || !inode)
		panic("hostfs: %s cannot be made", name);
	d_instantiate(dget(dentry), inode);
	done_path_create(&parent, dentry);
}

void __init hostfs_init(void)
{
	graft("/sys/kernel/debug", &hostfs_sb, HOSTFS_DEBUGFS, 0700);
	graft("/sys/kernel/tracing", &hostfs_sb, HOSTFS_TRACEFS, 0700);
	graft("/proc", &hostfs_sb, HOSTFS_PROC, 0555);
	graft("/sys/fs/bpf", &bpffs_sb, HOSTFS_BPF, 01777);
}
