/* fs.h: the virtual file system: inodes, open files, and the operations a file system fills in. */
#ifndef _FS_H
#define _FS_H

#include "dcache.h"
#include "mm.h"
#include "mount.h"
#include "stat.h"
#include "time.h"
#include "uio.h"
#include "wait.h"

struct file;
struct iattr;
struct kstat;
struct pipe_inode_info;
struct user_namespace;

/* open(2) */
#define O_ACCMODE	00000003
#define O_RDONLY	00000000
#define O_WRONLY	00000001
#define O_RDWR		00000002
#define O_CREAT		00000100
#define O_EXCL		00000200
#define O_TRUNC		00001000
#define O_APPEND	00002000
#define O_NONBLOCK	00004000
#define O_DIRECTORY	00200000
#define O_CLOEXEC	02000000
#define __FMODE_EXEC	0x20		/* opened by execve */
#define AT_FDCWD	-100
#define AT_REMOVEDIR	0x200
#define AT_EMPTY_PATH	0x1000

/* struct file.f_mode */
#define FMODE_READ	0x1u
#define FMODE_WRITE	0x2u
#define FMODE_LSEEK	0x4u
#define FMODE_ATOMIC_POS 0x8000u	/* f_pos is shared and must be locked */
#define FMODE_CAN_READ	0x20000u
#define FMODE_CAN_WRITE	0x40000u
#define FMODE_OPENED	0x80000u
#define FMODE_CREATED	0x100000u

#define MAY_EXEC	1
#define MAY_WRITE	2
#define MAY_READ	4

#define PATH_MAX	4096
#define MAX_RW_COUNT	0x7ffff000UL
#define SEEK_SET	0
#define SEEK_CUR	1
#define SEEK_END	2

#define MAJOR(dev)	((dev) >> 20)
#define MINOR(dev)	((dev) & 0xfffff)
#define MKDEV(ma, mi)	((dev_t)(ma) << 20 | (mi))

/* The pages of a file. */
struct address_space {
	struct inode *host;
	spinlock_t i_lock;		/* covers the fields below */
	const char *image;		/* first bytes of the file, where they lie in the initramfs; never written to */
	size_t image_size;
	struct page **i_pages;		/* pages of its own, which go before image; NULL: none yet */
	unsigned long nrpages;		/* how many of them there are */
};
#define MAX_FILE_PAGES	(PAGE_SIZE / sizeof(struct page *))	/* i_pages is one page: files end at 2 MiB */

struct inode {
	umode_t i_mode;
	kuid_t i_uid;
	kgid_t i_gid;
	const struct inode_operations *i_op;
	struct super_block *i_sb;
	struct address_space *i_mapping;
	unsigned long i_ino;
	unsigned int i_nlink;
	dev_t i_rdev;
	loff_t i_size;
	struct timespec64 i_atime;
	struct timespec64 i_mtime;
	struct timespec64 i_ctime;
	struct mutex i_rwsem;		/* Linux lets readers in together; here one at a time */
	atomic_t i_count;
	const struct file_operations *i_fop;
	struct address_space i_data;
	struct pipe_inode_info *i_pipe;
};

struct super_block {
	dev_t s_dev;
	unsigned long s_blocksize;
	unsigned long s_magic;
	struct dentry *s_root;
	char s_id[32];
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	const struct file_operations *f_op;
	atomic_t f_count;
	unsigned int f_flags;		/* O_ */
	fmode_t f_mode;			/* FMODE_ */
	struct mutex f_pos_lock;
	loff_t f_pos;
	const struct cred *f_cred;
	void *private_data;
	struct address_space *f_mapping;
};

/* One read or write in progress. */
struct kiocb {
	struct file *ki_filp;
	loff_t ki_pos;
};

struct dir_context {
	/* Returns false when there is no room for the entry. */
	bool (*actor)(struct dir_context *ctx, const char *name, int len, loff_t pos, u64 ino, unsigned int type);
	loff_t pos;
};

struct file_operations {
	loff_t (*llseek)(struct file *file, loff_t offset, int whence);
	ssize_t (*read)(struct file *file, char __user *buf, size_t count, loff_t *pos);
	ssize_t (*write)(struct file *file, const char __user *buf, size_t count, loff_t *pos);
	ssize_t (*read_iter)(struct kiocb *iocb, struct iov_iter *to);
	ssize_t (*write_iter)(struct kiocb *iocb, struct iov_iter *from);
	int (*iterate_shared)(struct file *file, struct dir_context *ctx);
	int (*open)(struct inode *inode, struct file *file);
	int (*release)(struct inode *inode, struct file *file);
	int (*fsync)(struct file *file, loff_t start, loff_t end, int datasync);
};

struct inode_operations {
	struct dentry *(*lookup)(struct inode *dir, struct dentry *dentry, unsigned int flags);
	int (*create)(struct user_namespace *ns, struct inode *dir, struct dentry *dentry, umode_t mode, bool excl);
	int (*unlink)(struct inode *dir, struct dentry *dentry);
	int (*mkdir)(struct user_namespace *ns, struct inode *dir, struct dentry *dentry, umode_t mode);
	int (*rmdir)(struct inode *dir, struct dentry *dentry);
	int (*mknod)(struct user_namespace *ns, struct inode *dir, struct dentry *dentry, umode_t mode, dev_t dev);
	int (*rename)(struct user_namespace *ns, struct inode *old_dir, struct dentry *old_dentry,
		      struct inode *new_dir, struct dentry *new_dentry, unsigned int flags);
	int (*setattr)(struct user_namespace *ns, struct dentry *dentry, struct iattr *attr);
};

#define ATTR_SIZE	8u
struct iattr {
	unsigned int ia_valid;		/* ATTR_: which of the fields count */
	loff_t ia_size;
};

/* There is one user namespace and it is not modelled; its place in the argument lists is Linux's. */
#define INIT_USER_NS	((struct user_namespace *)NULL)

static inline struct inode *file_inode(const struct file *file) { return file->f_inode; }
static inline struct inode *d_inode(const struct dentry *dentry) { return dentry->d_inode; }
static inline void inode_lock(struct inode *inode) { mutex_lock(&inode->i_rwsem); }
static inline void inode_unlock(struct inode *inode) { mutex_unlock(&inode->i_rwsem); }

/* inode.c */
struct inode *new_inode(struct super_block *sb, umode_t mode);
void ihold(struct inode *inode);
void iput(struct inode *inode);
int inode_permission(struct user_namespace *ns, struct inode *inode, int mask);
int generic_permission(struct user_namespace *ns, struct inode *inode, int mask);
struct timespec64 current_time(struct inode *inode);

/* namei.c, namei_change.c, rename.c */
struct filename {
	const char *name;		/* the kernel's copy */
	const char __user *uptr;	/* the user's pointer */
	char iname[];
};
struct filename *getname(const char __user *filename);
struct filename *getname_flags(const char __user *filename, int flags);
struct filename *getname_kernel(const char *filename);
void putname(struct filename *name);
int filename_lookup(int dfd, struct filename *name, unsigned int flags, struct path *path);
int user_path_at(int dfd, const char __user *name, unsigned int flags, struct path *path);
struct dentry *kern_path_create(const char *name, struct path *path);
struct dentry *user_path_create(const char __user *pathname, struct path *path);
void done_path_create(struct path *path, struct dentry *dentry);
int vfs_create(struct user_namespace *ns, struct inode *dir, struct dentry *dentry, umode_t mode, bool want_excl);
int vfs_mkdir(struct user_namespace *ns, struct inode *dir, struct dentry *dentry, umode_t mode);
int vfs_mknod(struct user_namespace *ns, struct inode *dir, struct dentry *dentry, umode_t mode, dev_t dev);
int vfs_rmdir(struct user_namespace *ns, struct inode *dir, struct dentry *dentry);
struct renamedata {
	struct user_namespace *old_mnt_userns;
	struct inode *old_dir;
	struct dentry *old_dentry;
	struct user_namespace *new_mnt_userns;
	struct inode *new_dir;
	struct dentry *new_dentry;
	unsigned int flags;
};
int vfs_rename(struct renamedata *rd);
int vfs_unlink(struct user_namespace *ns, struct inode *dir, struct dentry *dentry);
int do_mkdirat(int dfd, struct filename *name, umode_t mode);
int do_rmdir(int dfd, struct filename *name);
int do_unlinkat(int dfd, struct filename *name);
int do_renameat2(int olddfd, struct filename *from, int newdfd, struct filename *to);

/* open.c */
struct open_how {
	u64 flags;
	u64 mode;
	u64 resolve;
};
struct open_flags {
	int open_flag;
	umode_t mode;
	int acc_mode;			/* MAY_: what the file's mode must allow */
	unsigned int lookup_flags;
};
struct file *do_filp_open(int dfd, struct filename *pathname, const struct open_flags *op);
struct file *filp_open(const char *filename, int flags, umode_t mode);
int vfs_open(const struct path *path, struct file *file);
int do_dentry_open(struct file *f, struct inode *inode);
int do_truncate(struct dentry *dentry, loff_t length);
int filp_close(struct file *filp, struct files_struct *id);
long do_sys_open(int dfd, const char __user *filename, int flags, umode_t mode);
long do_sys_openat2(int dfd, const char __user *filename, struct open_how *how);

/* security.c */
int security_file_open(struct file *file);

/* file_table.c */
struct file *alloc_empty_file(int flags, const struct cred *cred);
struct file *alloc_file_pseudo(struct inode *inode, struct vfsmount *mnt, const char *name, int flags,
			       const struct file_operations *fops);
struct file *get_file(struct file *f);
void fput(struct file *file);

/* file.c; the rest of its interface is in fdtable.h */
struct file *fget(unsigned int fd);

/* read_write.c */
ssize_t vfs_read(struct file *file, char __user *buf, size_t count, loff_t *pos);
ssize_t vfs_write(struct file *file, const char __user *buf, size_t count, loff_t *pos);
ssize_t kernel_read(struct file *file, void *buf, size_t count, loff_t *pos);
ssize_t vfs_readv(struct file *file, const struct iovec __user *vec, unsigned long vlen, loff_t *pos);
ssize_t vfs_writev(struct file *file, const struct iovec __user *vec, unsigned long vlen, loff_t *pos);
loff_t vfs_llseek(struct file *file, loff_t offset, int whence);
loff_t generic_file_llseek(struct file *file, loff_t offset, int whence);
loff_t noop_llseek(struct file *file, loff_t offset, int whence);
ssize_t ksys_read(unsigned int fd, char __user *buf, size_t count);
ssize_t ksys_write(unsigned int fd, const char __user *buf, size_t count);

/* readdir.c */
int iterate_dir(struct file *file, struct dir_context *ctx);
bool dir_emit_dots(struct file *file, struct dir_context *ctx);
int dcache_readdir(struct file *file, struct dir_context *ctx);

/* sync.c */
void ksys_sync(void);
int vfs_fsync(struct file *file, int datasync);
int vfs_fsync_range(struct file *file, loff_t start, loff_t end, int datasync);
int noop_fsync(struct file *file, loff_t start, loff_t end, int datasync);

/* stat.c */
int vfs_getattr(const struct path *path, struct kstat *stat);
int vfs_fstat(int fd, struct kstat *stat);
int vfs_statx(int dfd, const char __user *filename, int flags, struct kstat *stat);

/* char_dev.c */
extern const struct file_operations def_chr_fops;

/* ramfs.c */
struct inode *ramfs_get_inode(struct super_block *sb, umode_t mode, dev_t dev);
struct page *filemap_get_page(struct file *file, pgoff_t index);
void truncate_inode_pages(struct address_space *mapping, loff_t size);

/* pipe.c */
void free_pipe_info(struct pipe_inode_info *pipe);

/* Boot. vfs_caches_init: an empty root, in which pid 0 stands; populate_rootfs: the files of the initramfs. */
void vfs_caches_init(void);
void populate_rootfs(void);

#endif
