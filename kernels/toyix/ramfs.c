/*
 * ramfs.c: the file system: directories live in the dentry cache, file data in pages.
 *
 * A file of the initramfs keeps its data where the image has it (address_space.image). The first write to a page of it
 * makes a copy, which from then on goes before the image. So a program's text is the image's own page, shared by all
 * who run it.
 */
#include "fs.h"
#include "sched.h"
#include "string.h"

static const struct inode_operations ramfs_dir_inode_operations, ramfs_file_inode_operations;
static const struct file_operations simple_dir_operations, ramfs_file_operations;

/* Bytes that the image has of page index, and where. */
static const char *image_page(struct address_space *mapping, pgoff_t index, size_t *len)
{
	size_t start = index << PAGE_SHIFT;

	if (start >= mapping->image_size)
		return NULL;
	*len = min(mapping->image_size - start, (size_t)PAGE_SIZE);
	return mapping->image + start;
}

/* The file's own copy of a page with a reference, or NULL. */
static struct page *find_get_page(struct address_space *mapping, pgoff_t index)
{
	struct page *page = NULL;

	spin_lock(&mapping->i_lock);
	if (mapping->i_pages && index < MAX_FILE_PAGES)
		page = mapping->i_pages[index];
	if (page)
		get_page(page);
	spin_unlock(&mapping->i_lock);
	return page;
}

/* Puts a new page, filled with what the image has there, into the file. mapping->i_lock is held. */
static struct page *add_page(struct address_space *mapping, pgoff_t index)
{
	const char *image;
	unsigned long va;
	size_t len;

	if (!mapping->i_pages)
		mapping->i_pages = (struct page **)get_zeroed_page(GFP_KERNEL);
	va = mapping->i_pages ? get_zeroed_page(GFP_KERNEL) : 0;
	if (!va)
		return ERR_PTR(-ENOMEM);
	image = image_page(mapping, index, &len);
	if (image)
		memcpy((void *)va, image, len);
	mapping->i_pages[index] = virt_to_page(va);
	mapping->nrpages++;
	return virt_to_page(va);
}

/* The file's own copy of a page, made where there is none, with a reference. */
static struct page *find_or_create_page(struct address_space *mapping, pgoff_t index)
{
	struct page *page;

	if (index >= MAX_FILE_PAGES)
		return ERR_PTR(-EFBIG);
	spin_lock(&mapping->i_lock);
	page = mapping->i_pages ? mapping->i_pages[index] : NULL;
	if (!page)
		page = add_page(mapping, index);
	if (!IS_ERR(page))
		get_page(page);
	spin_unlock(&mapping->i_lock);
	return page;
}

/* Drops what lies behind size. The rest of the last page becomes zero: the file may grow again. */
void truncate_inode_pages(struct address_space *mapping, loff_t size)
{
	size_t tail = size & (PAGE_SIZE - 1);
	struct page **pages;

	spin_lock(&mapping->i_lock);
	mapping->image_size = min(mapping->image_size, (size_t)size);
	pages = mapping->i_pages;
	if (pages && tail && pages[size >> PAGE_SHIFT])
		memset((char *)page_address(pages[size >> PAGE_SHIFT]) + tail, 0, PAGE_SIZE - tail);
	for (pgoff_t index = DIV_ROUND_UP(size, PAGE_SIZE); pages && index < MAX_FILE_PAGES; index++) {
		if (!pages[index])
			continue;
		put_page(pages[index]);
		pages[index] = NULL;
		mapping->nrpages--;
	}
	if (pages && !mapping->nrpages) {
		free_page((unsigned long)pages);
		mapping->i_pages = NULL;
	}
	spin_unlock(&mapping->i_lock);
}

/*
 * For mmap and exec: the page itself, with a reference; NULL behind the end of the file. Only a file whose data begins
 * on a page of the image can lend that out; others get a page of their own first.
 */
noinline struct page *filemap_get_page(struct file *file, pgoff_t index)
{
	struct address_space *mapping = file->f_mapping;
	struct page *page;
	const char *image;
	size_t len;

	if ((loff_t)(index << PAGE_SHIFT) >= mapping->host->i_size)
		return NULL;
	page = find_get_page(mapping, index);
	if (page)
		return page;
	image = image_page(mapping, index, &len);
	if (image && !((unsigned long)image & ~PAGE_MASK)) {
		page = virt_to_page(image);
		get_page(page);
		return page;
	}
	page = find_or_create_page(mapping, index);
	return IS_ERR(page) ? NULL : page;
}

/* Copies from one page to the reader. Returns how many bytes went over. */
static size_t copy_page_to_iter(struct address_space *mapping, pgoff_t index, size_t offset, size_t bytes,
				struct iov_iter *iter)
{
	struct page *page = find_get_page(mapping, index);
	size_t len, from_image, copied;
	const char *image;

	if (page) {
		copied = copy_to_iter((char *)page_address(page) + offset, bytes, iter);
		put_page(page);
		return copied;
	}
	image = image_page(mapping, index, &len);
	from_image = image && offset < len ? min(bytes, len - offset) : 0;
	copied = from_image ? copy_to_iter(image + offset, from_image, iter) : 0;
	if (copied < from_image)
		return copied;
	return copied + iov_iter_zero(bytes - copied, iter);
}

static noinline ssize_t filemap_read(struct kiocb *iocb, struct iov_iter *iter)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t done = 0;

	while (iter->count && iocb->ki_pos < inode->i_size) {
		size_t offset = iocb->ki_pos & (PAGE_SIZE - 1);
		size_t bytes = min_t(loff_t, min(iter->count, PAGE_SIZE - offset), inode->i_size - iocb->ki_pos);
		size_t copied = copy_page_to_iter(inode->i_mapping, iocb->ki_pos >> PAGE_SHIFT, offset, bytes, iter);

		done += copied;
		iocb->ki_pos += copied;
		if (copied < bytes)
			return done ? done : -EFAULT;
	}
	return done;
}

static noinline ssize_t generic_file_read_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	return filemap_read(iocb, iter);
}

static noinline ssize_t generic_perform_write(struct kiocb *iocb, struct iov_iter *iter)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t done = 0;

	while (iter->count) {
		size_t offset = iocb->ki_pos & (PAGE_SIZE - 1);
		size_t bytes = min(iter->count, PAGE_SIZE - offset), copied;
		struct page *page = find_or_create_page(inode->i_mapping, iocb->ki_pos >> PAGE_SHIFT);

		if (IS_ERR(page))
			return done ? done : PTR_ERR(page);
		copied = copy_from_iter((char *)page_address(page) + offset, bytes, iter);
		put_page(page);
		done += copied;
		iocb->ki_pos += copied;
		inode->i_size = max(inode->i_size, iocb->ki_pos);
		if (copied < bytes)
			return done ? done : -EFAULT;
	}
	return done;
}

static noinline ssize_t generic_file_write_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret;

	inode_lock(inode);
	if (iocb->ki_filp->f_flags & O_APPEND)
		iocb->ki_pos = inode->i_size;
	ret = generic_perform_write(iocb, iter);
	if (ret > 0)
		inode->i_mtime = inode->i_ctime = current_time(inode);
	inode_unlock(inode);
	return ret;
}

static int simple_setattr(struct user_namespace *ns, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);

	if (attr->ia_valid & ATTR_SIZE) {
		if (attr->ia_size > (loff_t)(MAX_FILE_PAGES * PAGE_SIZE))
			return -EFBIG;
		truncate_inode_pages(inode->i_mapping, attr->ia_size);
		inode->i_size = attr->ia_size;
	}
	inode->i_mtime = inode->i_ctime = current_time(inode);
	return 0;
}

/* What the dentry cache does not know does not exist: the answer is always a negative dentry. */
static noinline struct dentry *simple_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	d_add(dentry, NULL);
	return NULL;
}

struct inode *ramfs_get_inode(struct super_block *sb, umode_t mode, dev_t dev)
{
	struct inode *inode = new_inode(sb, mode);

	if (!inode)
		return NULL;
	inode->i_rdev = dev;
	inode->i_op = &ramfs_file_inode_operations;
	if (S_ISDIR(mode)) {
		inode->i_op = &ramfs_dir_inode_operations;
		inode->i_fop = &simple_dir_operations;
		inode->i_nlink = 2;
	} else if (S_ISCHR(mode)) {
		inode->i_fop = &def_chr_fops;
	} else {
		inode->i_fop = &ramfs_file_operations;
	}
	return inode;
}

static noinline int ramfs_mknod(struct user_namespace *ns, struct inode *dir, struct dentry *dentry,
				umode_t mode, dev_t dev)
{
	struct inode *inode = ramfs_get_inode(dir->i_sb, mode, dev);

	if (!inode)
		return -ENOSPC;
	d_instantiate(dentry, inode);
	/* This reference keeps the file in the dentry cache until simple_unlink() gives it back. */
	dget(dentry);
	dir->i_mtime = dir->i_ctime = current_time(dir);
	return 0;
}

static noinline int ramfs_create(struct user_namespace *ns, struct inode *dir, struct dentry *dentry, umode_t mode,
				 bool excl)
{
	return ramfs_mknod(ns, dir, dentry, mode | S_IFREG, 0);
}

static noinline int ramfs_mkdir(struct user_namespace *ns, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	int error = ramfs_mknod(ns, dir, dentry, mode | S_IFDIR, 0);

	/* The new directory's ".." is one more name for this one. */
	if (!error)
		dir->i_nlink++;
	return error;
}

static noinline int simple_unlink(struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = d_inode(dentry);

	inode->i_nlink--;
	dir->i_mtime = dir->i_ctime = inode->i_ctime = current_time(dir);
	dput(dentry);
	return 0;
}

static noinline int simple_rmdir(struct inode *dir, struct dentry *dentry)
{
	if (d_has_children(dentry))
		return -ENOTEMPTY;
	d_inode(dentry)->i_nlink--;
	dir->i_nlink--;
	return simple_unlink(dir, dentry);
}

static noinline int simple_rename(struct user_namespace *ns, struct inode *old_dir,
				  struct dentry *old_dentry, struct inode *new_dir, struct dentry *new_dentry,
				  unsigned int flags)
{
	bool isdir = d_is_dir(old_dentry);

	if (isdir && !d_is_negative(new_dentry) && d_has_children(new_dentry))
		return -ENOTEMPTY;
	if (!d_is_negative(new_dentry)) {
		if (isdir) {
			d_inode(new_dentry)->i_nlink--;
			new_dir->i_nlink--;
		}
		simple_unlink(new_dir, new_dentry);
	}
	if (isdir && old_dir != new_dir) {
		old_dir->i_nlink--;
		new_dir->i_nlink++;
	}
	old_dir->i_mtime = new_dir->i_mtime = current_time(old_dir);
	return 0;
}

static const struct inode_operations ramfs_dir_inode_operations = {
	.lookup = simple_lookup,
	.create = ramfs_create,
	.unlink = simple_unlink,
	.mkdir = ramfs_mkdir,
	.rmdir = simple_rmdir,
	.mknod = ramfs_mknod,
	.rename = simple_rename,
};

static const struct inode_operations ramfs_file_inode_operations = {
	.setattr = simple_setattr,
};

static ssize_t generic_read_dir(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	return -EISDIR;
}

static const struct file_operations simple_dir_operations = {
	.read = generic_read_dir,
	.llseek = generic_file_llseek,
	.iterate_shared = dcache_readdir,
	.fsync = noop_fsync,
};

static const struct file_operations ramfs_file_operations = {
	.llseek = generic_file_llseek,
	.read_iter = generic_file_read_iter,
	.write_iter = generic_file_write_iter,
	.fsync = noop_fsync,
};
