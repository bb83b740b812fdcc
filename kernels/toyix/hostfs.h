/* hostfs.h: what hostfs.c and the host (by the stubs in hostfs.S) tell each other. */
#ifndef _HOSTFS_H
#define _HOSTFS_H

#include "types.h"

/* The folders that the host's file trees begin with; other nodes get their numbers from lookup. */
#define HOSTFS_TRACEFS	1
#define HOSTFS_DEBUGFS	2
#define HOSTFS_PROC	3
#define HOSTFS_BPF	4

/* One read or write, by way of a page of the kernel's. */
struct hostfs_io {
	char *page;		/*  0 */
	u64 count;		/*  8 */
	u64 pos;		/* 16 */
};

struct hostfs_dirent {
	u64 node;		/*  0 */
	u64 mode;		/*  8 */
	char name[256];		/* 16 */
};

/* All of them return -errno where they fail. */
long hostfs_lookup(unsigned long dir, const unsigned char *name);	/* node << 16 | mode */
long hostfs_readdir(unsigned long dir, unsigned long index, struct hostfs_dirent *entry);	/* 0 behind the last */
long hostfs_open(unsigned long node, int flags);			/* handle */
long hostfs_read(unsigned long handle, struct hostfs_io *io);		/* bytes; -EAGAIN: nothing yet */
long hostfs_write(unsigned long handle, struct hostfs_io *io);		/* bytes */
long hostfs_release(unsigned long handle);
/* Names can be made and removed in /sys/fs/bpf, and folders in instances/ of tracefs. */
long hostfs_mkdir(unsigned long dir, const unsigned char *name);
long hostfs_unlink(unsigned long dir, const unsigned char *name);
long hostfs_rmdir(unsigned long dir, const unsigned char *name);

struct inode;
bool is_bpffs(const struct inode *inode);
void hostfs_init(void);

#endif
