/*
 * initramfs.c: the first mount, an empty ramfs; and its files, from the cpio archive that is linked into the image.
 *
 * The archive (format "newc") is headers of text: "070701" and 13 numbers of 8 hexadecimal digits; then the name, then
 * the data, both padded to 4 bytes. kernels/build.py makes the names of programs so long (with NULs) that their data
 * begins on a page. The data is not copied: files point into the archive.
 */
#include "fdtable.h"
#include "hostfs.h"
#include "printk.h"
#include "sched.h"
#include "string.h"

#define RAMFS_MAGIC	0x858458f6

extern const char __initramfs_start[], __initramfs_end[];

static struct super_block rootfs_sb = {
	.s_dev = MKDEV(0, 1),
	.s_blocksize = PAGE_SIZE,
	.s_magic = RAMFS_MAGIC,
	.s_id = "rootfs",
};
struct mount root_mount = { .mnt_parent = &root_mount, .mnt_devname = "rootfs" };

/* One header, decoded. */
struct cpio_header {
	umode_t mode;
	unsigned int size;
	dev_t rdev;
	const char *name;
	const char *data;
	const char *next;
};

enum {
	C_INO, C_MODE, C_UID, C_GID, C_NLINK, C_MTIME, C_FILESIZE, C_MAJ, C_MIN, C_RMAJ, C_RMIN, C_NAMESIZE, C_CHKSUM,
	C_FIELDS
};
#define CPIO_HEADER_SIZE (6 + 8 * C_FIELDS)

static unsigned int __init parse_hex(const char *s)
{
	unsigned int value = 0;

	for (int n = 0; n < 8; n++, s++)
		value = value * 16 + (*s <= '9' ? *s - '0' : (*s | 0x20) - 'a' + 10);
	return value;
}

static const char *__init align4(const char *at)
{
	return __initramfs_start + ALIGN((unsigned long)(at - __initramfs_start), 4UL);
}

/* False at the end of the archive. */
static bool __init parse_header(const char *at, struct cpio_header *header)
{
	unsigned int field[C_FIELDS];

	if (at + CPIO_HEADER_SIZE > __initramfs_end || memcmp(at, "070701", 6))
		panic("initramfs: no cpio header at offset %lu", (unsigned long)(at - __initramfs_start));
	for (int n = 0; n < C_FIELDS; n++)
		field[n] = parse_hex(at + 6 + 8 * n);
	header->mode = field[C_MODE];
	header->size = field[C_FILESIZE];
	header->rdev = MKDEV(field[C_RMAJ], field[C_RMIN]);
	header->name = at + CPIO_HEADER_SIZE;
	header->data = align4(header->name + field[C_NAMESIZE]);
	header->next = align4(header->data + header->size);
	return strcmp(header->name, "TRAILER!!!");
}

static int __init make_file(const struct cpio_header *header)
{
	struct path parent;
	struct dentry *dentry = kern_path_create(header->name, &parent);
	struct inode *dir;
	int error;

	if (IS_ERR(dentry))
		return PTR_ERR(dentry);
	dir = d_inode(parent.dentry);
	if (S_ISDIR(header->mode))
		error = vfs_mkdir(INIT_USER_NS, dir, dentry, header->mode);
	else if (S_ISREG(header->mode))
		error = vfs_create(INIT_USER_NS, dir, dentry, header->mode, true);
	else
		error = vfs_mknod(INIT_USER_NS, dir, dentry, header->mode, header->rdev);
	if (!error && S_ISREG(header->mode)) {
		struct inode *inode = d_inode(dentry);

		inode->i_mapping->image = header->data;
		inode->i_mapping->image_size = header->size;
		inode->i_size = header->size;
	}
	done_path_create(&parent, dentry);
	return error;
}

void __init populate_rootfs(void)
{
	struct cpio_header header;

	for (const char *at = __initramfs_start; parse_header(at, &header); at = header.next) {
		int error = make_file(&header);

		if (error)
			panic("initramfs: %s: error %d", header.name, error);
	}
	hostfs_init();
}

void __init vfs_caches_init(void)
{
	struct inode *inode;
	struct path root;

	dcache_init();
	inode = ramfs_get_inode(&rootfs_sb, S_IFDIR | 0755, 0);
	rootfs_sb.s_root = inode ? d_make_root(inode) : NULL;
	if (!rootfs_sb.s_root)
		panic("initramfs: no memory for the root directory");
	root_mount.mnt.mnt_root = root_mount.mnt_mountpoint = rootfs_sb.s_root;
	root_mount.mnt.mnt_sb = &rootfs_sb;
	root = (struct path){ &root_mount.mnt, rootfs_sb.s_root };
	path_get(&root);
	init_fs.root = root;
	set_fs_pwd(&init_fs, &root);
	current->fs = &init_fs;
	current->files = &init_files;
}
