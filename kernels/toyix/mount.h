/* mount.h: mounted file systems. There is one, the root. */
#ifndef _MOUNT_H
#define _MOUNT_H

#include "compiler.h"
#include "path.h"

struct super_block;

/* The part that paths point to. */
struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
	int mnt_flags;
};

struct mount {
	struct mount *mnt_parent;	/* itself: nothing is mounted below anything */
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	const char *mnt_devname;
};

extern struct mount root_mount;

static inline struct mount *real_mount(struct vfsmount *mnt) { return container_of(mnt, struct mount, mnt); }

#endif
