/* fdtable.h: which files a process has open, and where it stands in the tree. */
#ifndef _FDTABLE_H
#define _FDTABLE_H

#include "fs.h"
#include "sched.h"

#define NR_OPEN_DEFAULT	64		/* a table never grows: the 65th open gives EMFILE */

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
	unsigned long *close_on_exec;	/* bitmaps */
	unsigned long *open_fds;
};

struct files_struct {
	atomic_t count;			/* tasks that share it */
	struct fdtable *fdt;
	struct fdtable fdtab;
	spinlock_t file_lock;
	unsigned int next_fd;		/* no lower number is free */
	unsigned long close_on_exec_init[1];
	unsigned long open_fds_init[1];
	struct file *fd_array[NR_OPEN_DEFAULT];
};

struct fs_struct {
	int users;
	spinlock_t lock;
	int umask;
	struct path root, pwd;
};

/* A file for the length of one system call; the flags say what to undo. */
struct fd {
	struct file *file;
	unsigned int flags;
};
#define FDPUT_FPUT		1u
#define FDPUT_POS_UNLOCK	2u

extern struct files_struct init_files;
extern struct fs_struct init_fs;

int alloc_fd(unsigned int start, unsigned int end, unsigned int flags);
int get_unused_fd_flags(unsigned int flags);
void put_unused_fd(unsigned int fd);
void fd_install(unsigned int fd, struct file *file);
int close_fd(unsigned int fd);
int ksys_dup3(unsigned int oldfd, unsigned int newfd, int flags);
unsigned long __fdget(unsigned int fd);
unsigned long __fdget_pos(unsigned int fd);
void __f_unlock_pos(struct file *f);

/* struct file is aligned, so the flags travel in the low bits of its address. */
static inline struct fd __to_fd(unsigned long v) { return (struct fd){ (struct file *)(v & ~3UL), v & 3 }; }
static inline struct fd fdget(unsigned int fd) { return __to_fd(__fdget(fd)); }
static inline struct fd fdget_pos(unsigned int fd) { return __to_fd(__fdget_pos(fd)); }

static inline void fdput(struct fd fd)
{
	if (fd.flags & FDPUT_FPUT)
		fput(fd.file);
}

static inline void fdput_pos(struct fd f)
{
	if (f.flags & FDPUT_POS_UNLOCK)
		__f_unlock_pos(f.file);
	fdput(f);
}

static inline umode_t current_umask(void) { return current->fs->umask; }
void set_fs_pwd(struct fs_struct *fs, const struct path *path);
void get_fs_root(struct fs_struct *fs, struct path *root);
void get_fs_pwd(struct fs_struct *fs, struct path *pwd);

#endif
