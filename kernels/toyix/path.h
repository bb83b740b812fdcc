/* path.h: a place in the file tree. */
#ifndef _PATH_H
#define _PATH_H

struct vfsmount;
struct dentry;

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

void path_get(const struct path *path);
void path_put(const struct path *path);

#endif
