/* stat.h: file modes, and what stat(2) answers. */
#ifndef _STAT_H
#define _STAT_H

#include "types.h"
#include "time.h"

#define S_IFMT		00170000
#define S_IFIFO		0010000
#define S_IFCHR		0020000
#define S_IFDIR		0040000
#define S_IFREG		0100000
#define S_ISREG(m)	(((m) & S_IFMT) == S_IFREG)
#define S_ISDIR(m)	(((m) & S_IFMT) == S_IFDIR)
#define S_ISCHR(m)	(((m) & S_IFMT) == S_IFCHR)
#define S_ISFIFO(m)	(((m) & S_IFMT) == S_IFIFO)
#define S_IXUGO		00111
#define S_IALLUGO	07777

/* Inside the kernel. */
struct kstat {
	umode_t mode;
	unsigned int nlink;
	u64 ino;
	dev_t dev;
	dev_t rdev;
	kuid_t uid;
	kgid_t gid;
	loff_t size;
	struct timespec64 atime;
	struct timespec64 mtime;
	struct timespec64 ctime;
	u32 blksize;
	u64 blocks;
};

/* What the user gets, on x86-64. */
struct stat {
	unsigned long st_dev;		/*   0 */
	unsigned long st_ino;		/*   8 */
	unsigned long st_nlink;		/*  16 */
	unsigned int st_mode;		/*  24 */
	unsigned int st_uid;		/*  28 */
	unsigned int st_gid;		/*  32 */
	unsigned int __pad0;		/*  36 */
	unsigned long st_rdev;		/*  40 */
	long st_size;			/*  48 */
	long st_blksize;		/*  56 */
	long st_blocks;			/*  64: of 512 bytes */
	unsigned long st_atime;		/*  72 */
	unsigned long st_atime_nsec;	/*  80 */
	unsigned long st_mtime;		/*  88 */
	unsigned long st_mtime_nsec;	/*  96 */
	unsigned long st_ctime;		/* 104 */
	unsigned long st_ctime_nsec;	/* 112 */
	long __unused[3];		/* 120 */
};

#endif
