/* stat.h: file modes, and what stat(2) answers. */
#ifndef _STAT_H
#define _STAT_H

#include "types.h"
#include "time.h"

#define S_IFSOCK	0140000
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

struct statx_timestamp {
	s64 tv_sec;
	u32 tv_nsec;
	s32 __reserved;
};

struct statx {
	u32 stx_mask;			/*   0: which of the fields hold something */
	u32 stx_blksize;		/*   4 */
	u64 stx_attributes;		/*   8 */
	u32 stx_nlink;			/*  16 */
	u32 stx_uid;			/*  20 */
	u32 stx_gid;			/*  24 */
	u16 stx_mode;			/*  28 */
	u16 __spare0[1];		/*  30 */
	u64 stx_ino;			/*  32 */
	u64 stx_size;			/*  40 */
	u64 stx_blocks;			/*  48 */
	u64 stx_attributes_mask;	/*  56 */
	struct statx_timestamp stx_atime;	/*  64 */
	struct statx_timestamp stx_btime;	/*  80 */
	struct statx_timestamp stx_ctime;	/*  96 */
	struct statx_timestamp stx_mtime;	/* 112 */
	u32 stx_rdev_major;		/* 128 */
	u32 stx_rdev_minor;		/* 132 */
	u32 stx_dev_major;		/* 136 */
	u32 stx_dev_minor;		/* 140 */
	u64 __spare2[14];		/* 144 */
};
#define STATX_BASIC_STATS	0x7ffu

struct statfs {
	long f_type;			/*   0 */
	long f_bsize;			/*   8 */
	u64 f_blocks;			/*  16 */
	u64 f_bfree;			/*  24 */
	u64 f_bavail;			/*  32 */
	u64 f_files;			/*  40 */
	u64 f_ffree;			/*  48 */
	int f_fsid[2];			/*  56 */
	long f_namelen;			/*  64 */
	long f_frsize;			/*  72 */
	long f_flags;			/*  80 */
	long f_spare[4];		/*  88 */
};

_Static_assert(sizeof(struct stat) == 144, "stat is 144 bytes on x86-64");
_Static_assert(sizeof(struct statx) == 256, "statx is 256 bytes everywhere");
_Static_assert(sizeof(struct statfs) == 120, "statfs is 120 bytes on x86-64");

#endif
