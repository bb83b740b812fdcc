/* char_dev.c: /dev/null, /dev/zero and /dev/console. */
#include "fs.h"
#include "printk.h"
#include "sched.h"
#include "uaccess.h"

static ssize_t read_null(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	return 0;
}

static ssize_t write_null(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	return count;
}

static ssize_t read_iter_zero(struct kiocb *iocb, struct iov_iter *to)
{
	size_t want = to->count, done = iov_iter_zero(want, to);

	return done || !want ? (ssize_t)done : -EFAULT;
}

/* A line, or the part of it that fits; the rest stays for the next read. */
static noinline ssize_t tty_read(struct kiocb *iocb, struct iov_iter *to)
{
	char line[256];
	ssize_t len = console_read(line, min(to->count, sizeof(line)));

	if (len <= 0)
		return len;
	return copy_to_iter(line, len, to) == (size_t)len ? len : -EFAULT;
}

static noinline ssize_t tty_write(struct kiocb *iocb, struct iov_iter *from)
{
	ssize_t done = 0;
	char chunk[256];

	while (from->count) {
		size_t want = min(from->count, sizeof(chunk));
		size_t len = copy_from_iter(chunk, want, from);

		console_write(chunk, len);
		done += len;
		if (len < want)
			return done ? done : -EFAULT;
	}
	return done;
}

static const struct file_operations null_fops = { .llseek = noop_llseek, .read = read_null, .write = write_null };
static const struct file_operations zero_fops = {
	.llseek = noop_llseek, .read_iter = read_iter_zero, .write = write_null,
};
static const struct file_operations tty_fops = { .read_iter = tty_read, .write_iter = tty_write };

static const struct {
	dev_t dev;
	const struct file_operations *fops;
} chrdevs[] = {
	{ MKDEV(1, 3), &null_fops },
	{ MKDEV(1, 5), &zero_fops },
	{ MKDEV(5, 1), &tty_fops },
};

/* The inode knows only a number. Opening replaces this one operation by the driver's own. */
static noinline int chrdev_open(struct inode *inode, struct file *file)
{
	for (size_t n = 0; n < ARRAY_SIZE(chrdevs); n++)
		if (chrdevs[n].dev == inode->i_rdev) {
			file->f_op = chrdevs[n].fops;
			return 0;
		}
	return -ENXIO;
}

const struct file_operations def_chr_fops = { .open = chrdev_open };
