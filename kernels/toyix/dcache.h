/* dcache.h: directory entries: a name in a directory, and what it stands for. */
#ifndef _DCACHE_H
#define _DCACHE_H

#include "list.h"
#include "path.h"
#include "spinlock.h"

struct inode;
struct super_block;

struct qstr {
	union {
		struct {
			u32 hash;
			u32 len;
		};
		u64 hash_len;
	};
	const unsigned char *name;	/* len bytes; while a path is walked no NUL follows them */
};
#define QSTR_INIT(n, l)	{ { { .len = l } }, .name = (const unsigned char *)(n) }

#define DNAME_INLINE_LEN 32
#define NAME_MAX	255

struct lockref {
	spinlock_t lock;
	int count;
};

struct dentry {
	unsigned int d_flags;
	struct hlist_node d_hash;	/* in its bucket of dentry_hashtable; unhashed: lookups do not find it */
	struct dentry *d_parent;	/* itself for a root */
	struct qstr d_name;
	struct inode *d_inode;		/* NULL: "negative", there is no such file */
	unsigned char d_iname[DNAME_INLINE_LEN];	/* short names; d_name.name points here */
	struct lockref d_lockref;
	struct super_block *d_sb;
	struct list_head d_child;	/* in the parent's d_subdirs */
	struct list_head d_subdirs;
};
#define DCACHE_DONTCACHE	0x00000080u	/* in d_flags: freed with its last user */
/* d_flags: what d_inode is, so that a walk need not look into it. */
#define DCACHE_MISS_TYPE	0x00000000u
#define DCACHE_DIRECTORY_TYPE	0x00200000u
#define DCACHE_REGULAR_TYPE	0x00400000u
#define DCACHE_SPECIAL_TYPE	0x00500000u
#define DCACHE_ENTRY_TYPE	0x00700000u

static inline bool d_is_negative(const struct dentry *dentry) { return !dentry->d_inode; }
static inline bool d_is_dir(const struct dentry *dentry)
{
	return (dentry->d_flags & DCACHE_ENTRY_TYPE) == DCACHE_DIRECTORY_TYPE;
}
static inline bool d_unhashed(const struct dentry *dentry) { return !dentry->d_hash.pprev; }

u32 full_name_hash(const struct dentry *salt, const char *name, unsigned int len);
struct dentry *d_alloc(struct dentry *parent, const struct qstr *name);
struct dentry *d_alloc_pseudo(struct super_block *sb, const struct qstr *name);
struct dentry *d_make_root(struct inode *root_inode);
void d_instantiate(struct dentry *dentry, struct inode *inode);
void d_add(struct dentry *dentry, struct inode *inode);
void d_delete(struct dentry *dentry);
void d_move(struct dentry *dentry, struct dentry *target);
struct dentry *__d_lookup(const struct dentry *parent, const struct qstr *name);
struct dentry *d_lookup(const struct dentry *parent, const struct qstr *name);
struct dentry *d_child_at(struct dentry *parent, loff_t index);
bool d_has_children(struct dentry *parent);
struct dentry *dget(struct dentry *dentry);
struct dentry *dget_parent(struct dentry *dentry);
void dput(struct dentry *dentry);
char *d_path(const struct path *path, char *buf, int buflen);
void dcache_init(void);

#endif
