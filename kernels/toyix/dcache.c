/*
 * dcache.c: the directory entry cache. Every name that was looked up is a dentry in a hash table, so that the next
 * lookup needs no file system.
 *
 * In ramfs the dentries are also all there is of a directory: a file exists as long as its dentry does.
 * A dentry without an inode ("negative") lives only while somebody holds it.
 *
 * One lock, dcache_lock, covers the hash table, every d_subdirs list and every reference count.
 */
#include "fs.h"
#include "string.h"

#define DENTRY_HASH_BITS 7
static struct hlist_head dentry_hashtable[1 << DENTRY_HASH_BITS];
static DEFINE_SPINLOCK(dcache_lock);
static struct kmem_cache *dentry_cache;

/* FNV-1a. The parent goes into the bucket and not into the hash, so that a name has one hash everywhere. */
noinline u32 full_name_hash(const struct dentry *salt, const char *name, unsigned int len)
{
	u32 hash = 2166136261u;

	while (len--)
		hash = (hash ^ (unsigned char)*name++) * 16777619u;
	return hash;
}

static struct hlist_head *d_hash(const struct dentry *parent, u32 hash)
{
	u64 mixed = (hash ^ ((unsigned long)parent >> 6)) * 0x9e3779b97f4a7c15ull;

	return dentry_hashtable + (mixed >> (64 - DENTRY_HASH_BITS));
}

static struct dentry *__d_alloc(struct super_block *sb, const struct qstr *name)
{
	struct dentry *dentry = kmem_cache_zalloc(dentry_cache, GFP_KERNEL);
	char *copy;

	if (!dentry)
		return NULL;
	copy = (char *)dentry->d_iname;
	if (name->len >= DNAME_INLINE_LEN) {
		copy = kmalloc(name->len + 1, GFP_KERNEL);
		if (!copy) {
			kmem_cache_free(dentry_cache, dentry);
			return NULL;
		}
	}
	memcpy(copy, name->name, name->len);
	copy[name->len] = '\0';
	dentry->d_name = *name;
	dentry->d_name.name = (unsigned char *)copy;
	dentry->d_lockref.count = 1;
	dentry->d_parent = dentry;
	dentry->d_sb = sb;
	INIT_LIST_HEAD(&dentry->d_child);
	INIT_LIST_HEAD(&dentry->d_subdirs);
	return dentry;
}

/* A new negative dentry below parent, not yet hashed, held once by the caller. It holds its parent. */
noinline struct dentry *d_alloc(struct dentry *parent, const struct qstr *name)
{
	struct dentry *dentry = __d_alloc(parent->d_sb, name);

	if (!dentry)
		return NULL;
	spin_lock(&dcache_lock);
	parent->d_lockref.count++;
	dentry->d_parent = parent;
	list_add_tail(&dentry->d_child, &parent->d_subdirs);
	spin_unlock(&dcache_lock);
	return dentry;
}

/* For what is open but in no directory, such as a pipe. */
struct dentry *d_alloc_pseudo(struct super_block *sb, const struct qstr *name)
{
	return __d_alloc(sb, name);
}

struct dentry *d_make_root(struct inode *root_inode)
{
	const struct qstr slash = QSTR_INIT("/", 1);
	struct dentry *root = __d_alloc(root_inode->i_sb, &slash);

	if (root)
		d_instantiate(root, root_inode);
	return root;
}

static void __d_set_inode(struct dentry *dentry, struct inode *inode)
{
	dentry->d_inode = inode;
	dentry->d_flags &= ~DCACHE_ENTRY_TYPE;
	if (!inode)
		dentry->d_flags |= DCACHE_MISS_TYPE;
	else if (S_ISDIR(inode->i_mode))
		dentry->d_flags |= DCACHE_DIRECTORY_TYPE;
	else
		dentry->d_flags |= S_ISREG(inode->i_mode) ? DCACHE_REGULAR_TYPE : DCACHE_SPECIAL_TYPE;
}

/* Gives a negative dentry its inode, whose reference it takes over. */
void d_instantiate(struct dentry *dentry, struct inode *inode)
{
	spin_lock(&dcache_lock);
	__d_set_inode(dentry, inode);
	spin_unlock(&dcache_lock);
}

/* The same for the result of a lookup, which may be NULL; and from here on lookups find the dentry. */
noinline void d_add(struct dentry *dentry, struct inode *inode)
{
	spin_lock(&dcache_lock);
	__d_set_inode(dentry, inode);
	hlist_add_head(&dentry->d_hash, d_hash(dentry->d_parent, dentry->d_name.hash));
	spin_unlock(&dcache_lock);
}

noinline struct dentry *dget(struct dentry *dentry)
{
	spin_lock(&dcache_lock);
	dentry->d_lockref.count++;
	spin_unlock(&dcache_lock);
	return dentry;
}

struct dentry *dget_parent(struct dentry *dentry)
{
	struct dentry *parent;

	spin_lock(&dcache_lock);
	parent = dentry->d_parent;
	parent->d_lockref.count++;
	spin_unlock(&dcache_lock);
	return parent;
}

static void __dentry_kill(struct dentry *dentry)
{
	if (dentry->d_inode)
		iput(dentry->d_inode);
	if (dentry->d_name.name != dentry->d_iname)
		kfree(dentry->d_name.name);
	kmem_cache_free(dentry_cache, dentry);
}

/* Lets go of a dentry. One that nobody holds and nobody can find is freed, and lets go of its parent in turn. */
noinline void dput(struct dentry *dentry)
{
	while (dentry) {
		struct dentry *parent = dentry->d_parent;
		bool cached;

		spin_lock(&dcache_lock);
		cached = dentry->d_inode && !d_unhashed(dentry) && !(dentry->d_flags & DCACHE_DONTCACHE);
		if (--dentry->d_lockref.count || cached) {
			spin_unlock(&dcache_lock);
			return;
		}
		hlist_del_init(&dentry->d_hash);
		list_del_init(&dentry->d_child);
		spin_unlock(&dcache_lock);
		__dentry_kill(dentry);
		dentry = parent != dentry ? parent : NULL;
	}
}

/* The file behind the name was removed. If others still use it the name goes, if not the inode goes. */
noinline void d_delete(struct dentry *dentry)
{
	struct inode *inode = NULL;

	spin_lock(&dcache_lock);
	if (dentry->d_lockref.count == 1) {
		inode = dentry->d_inode;
		__d_set_inode(dentry, NULL);
	} else {
		hlist_del_init(&dentry->d_hash);
	}
	spin_unlock(&dcache_lock);
	if (inode)
		iput(inode);
}

static void swap_names(struct dentry *a, struct dentry *b)
{
	struct qstr name = a->d_name;
	unsigned char iname[DNAME_INLINE_LEN];
	bool a_inline = a->d_name.name == a->d_iname, b_inline = b->d_name.name == b->d_iname;

	memcpy(iname, a->d_iname, sizeof(iname));
	memcpy(a->d_iname, b->d_iname, sizeof(iname));
	memcpy(b->d_iname, iname, sizeof(iname));
	a->d_name = b->d_name;
	b->d_name = name;
	if (b_inline)
		a->d_name.name = a->d_iname;
	if (a_inline)
		b->d_name.name = b->d_iname;
}

/* dentry takes target's name and place; target, whose file is no more, gets dentry's and is not found any longer. */
void d_move(struct dentry *dentry, struct dentry *target)
{
	struct dentry *old_parent = dentry->d_parent;

	spin_lock(&dcache_lock);
	hlist_del_init(&dentry->d_hash);
	hlist_del_init(&target->d_hash);
	swap_names(dentry, target);
	dentry->d_parent = target->d_parent;
	target->d_parent = old_parent;
	list_move_tail(&dentry->d_child, &dentry->d_parent->d_subdirs);
	list_move_tail(&target->d_child, &old_parent->d_subdirs);
	hlist_add_head(&dentry->d_hash, d_hash(dentry->d_parent, dentry->d_name.hash));
	spin_unlock(&dcache_lock);
}

/* Finds a child by name, hash and length set. Returns it with a reference, or NULL: that says nothing about the file. */
noinline struct dentry *__d_lookup(const struct dentry *parent, const struct qstr *name)
{
	struct dentry *dentry;

	spin_lock(&dcache_lock);
	hlist_for_each_entry(dentry, d_hash(parent, name->hash), d_hash) {
		if (dentry->d_parent != parent || dentry->d_name.hash_len != name->hash_len)
			continue;
		if (memcmp(dentry->d_name.name, name->name, name->len))
			continue;
		dentry->d_lockref.count++;
		spin_unlock(&dcache_lock);
		return dentry;
	}
	spin_unlock(&dcache_lock);
	return NULL;
}

/* In Linux this one also waits out a rename; here the lock has done that. */
noinline struct dentry *d_lookup(const struct dentry *parent, const struct qstr *name)
{
	return __d_lookup(parent, name);
}

/* The index-th existing child of a directory with a reference, or NULL behind the last. */
struct dentry *d_child_at(struct dentry *parent, loff_t index)
{
	struct dentry *child;

	spin_lock(&dcache_lock);
	list_for_each_entry(child, &parent->d_subdirs, d_child) {
		if (d_is_negative(child) || d_unhashed(child) || index--)
			continue;
		child->d_lockref.count++;
		spin_unlock(&dcache_lock);
		return child;
	}
	spin_unlock(&dcache_lock);
	return NULL;
}

bool d_has_children(struct dentry *parent)
{
	struct dentry *child = d_child_at(parent, 0);

	dput(child);
	return child;
}

void __init dcache_init(void)
{
	dentry_cache = kmem_cache_create("dentry", sizeof(struct dentry));
}
