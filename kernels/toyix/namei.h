/* namei.h: the state of a path walk. */
#ifndef _NAMEI_H
#define _NAMEI_H

#include "fs.h"

enum { LAST_NORM, LAST_ROOT, LAST_DOT, LAST_DOTDOT };

#define LOOKUP_FOLLOW	0x0001		/* accepted, but there are no symbolic links */
#define LOOKUP_DIRECTORY 0x0002
#define LOOKUP_PARENT	0x0010
#define LOOKUP_OPEN	0x0100
#define LOOKUP_CREATE	0x0200
#define LOOKUP_EXCL	0x0400
#define LOOKUP_EMPTY	0x4000

struct nameidata {
	struct path path;		/* how far we are */
	struct qstr last;		/* the component to look up in path */
	struct path root;
	struct inode *inode;		/* path.dentry->d_inode */
	unsigned int flags;		/* LOOKUP_ */
	int last_type;
	struct filename *name;
	int dfd;
};

void set_nameidata(struct nameidata *nd, int dfd, struct filename *name);
const char *path_init(struct nameidata *nd, unsigned int flags);
int link_path_walk(const char *name, struct nameidata *nd);
int walk_component(struct nameidata *nd);
int handle_dots(struct nameidata *nd, int type);
int step_into(struct nameidata *nd, struct dentry *dentry);
struct dentry *lookup_fast(struct nameidata *nd);
struct dentry *lookup_slow(const struct qstr *name, struct dentry *dir, unsigned int flags);
struct dentry *__lookup_hash(const struct qstr *name, struct dentry *base, unsigned int flags);
int filename_parentat(int dfd, struct filename *name, struct path *parent, struct qstr *last, int *type);
void terminate_walk(struct nameidata *nd);
int may_change(struct inode *dir);
int may_create(struct inode *dir, struct dentry *child);
int may_delete(struct inode *dir, struct dentry *victim, bool isdir);
bool nd_wants_directory(struct nameidata *nd);

#endif
