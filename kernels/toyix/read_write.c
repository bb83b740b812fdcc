/* read_write.c: read, write and lseek, from the system call to the file's own operations. */
#include "fdtable.h"
#include "syscalls.h"

static ssize_t rw_verify_area(const loff_t *pos, size_t count)
{
	if ((ssize_t)count < 0 || (pos && *pos < 0))
		return -EINVAL;
	return 0;
}

/* One buffer becomes a list of one segment, for files that work on lists. */
static ssize_t new_sync_read(struct file *file, void *buf, size_t count, loff_t *pos, int type)
{
	struct iovec iov = { buf, count };
	struct iov_iter iter = { .iter_type = type, .count = count, .iov = &iov, .nr_segs = 1 };
	struct kiocb kiocb = { file, pos ? *pos : 0 };
	ssize_t ret = file->f_op->read_iter(&kiocb, &iter);

	if (pos)
		*pos = kiocb.ki_pos;
	return ret;
}

static ssize_t new_sync_write(struct file *file, const void __user *buf, size_t count, loff_t *pos)
{
	struct iovec iov = { (void *)buf, count };
	struct iov_iter iter = { .iter_type = ITER_IOVEC, .data_source = true, .count = count, .iov = &iov, .nr_segs = 1 };
	struct kiocb kiocb = { file, pos ? *pos : 0 };
	ssize_t ret = file->f_op->write_iter(&kiocb, &iter);

	if (pos)
		*pos = kiocb.ki_pos;
	return ret;
}

noinline ssize_t vfs_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	ssize_t ret;

	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	if (!(file->f_mode & FMODE_CAN_READ))
		return -EINVAL;
	if (!access_ok(buf, count))
		return -EFAULT;
	ret = rw_verify_area(pos, count);
	if (ret)
		return ret;
	count = min(count, MAX_RW_COUNT);
	if (file->f_op->read)
		return file->f_op->read(file, buf, count, pos);
	return new_sync_read(file, buf, count, pos, ITER_IOVEC);
}

noinline ssize_t vfs_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	ssize_t ret;

	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	if (!(file->f_mode & FMODE_CAN_WRITE))
		return -EINVAL;
	if (!access_ok(buf, count))
		return -EFAULT;
	ret = rw_verify_area(pos, count);
	if (ret)
		return ret;
	count = min(count, MAX_RW_COUNT);
	if (file->f_op->write)
		return file->f_op->write(file, buf, count, pos);
	return new_sync_write(file, buf, count, pos);
}

/* For the kernel's own reading, of programs above all. */
noinline ssize_t kernel_read(struct file *file, void *buf, size_t count, loff_t *pos)
{
	ssize_t ret = rw_verify_area(pos, count);

	if (ret)
		return ret;
	if (!(file->f_mode & FMODE_READ) || !file->f_op->read_iter)
		return -EINVAL;
	return new_sync_read(file, buf, count, pos, ITER_KVEC);
}

/* Pipes and the console have no position. */
static loff_t *file_ppos(struct file *file)
{
	return file->f_mode & FMODE_LSEEK ? &file->f_pos : NULL;
}

noinline ssize_t ksys_read(unsigned int fd, char __user *buf, size_t count)
{
	struct fd f = fdget_pos(fd);
	ssize_t ret = -EBADF;

	if (f.file) {
		ret = vfs_read(f.file, buf, count, file_ppos(f.file));
		fdput_pos(f);
	}
	return ret;
}

SYSCALL_DEFINE3(read, unsigned int, fd, char __user *, buf, size_t, count)
{
	return ksys_read(fd, buf, count);
}

noinline ssize_t ksys_write(unsigned int fd, const char __user *buf, size_t count)
{
	struct fd f = fdget_pos(fd);
	ssize_t ret = -EBADF;

	if (f.file) {
		ret = vfs_write(f.file, buf, count, file_ppos(f.file));
		fdput_pos(f);
	}
	return ret;
}

SYSCALL_DEFINE3(write, unsigned int, fd, const char __user *, buf, size_t, count)
{
	return ksys_write(fd, buf, count);
}

static ssize_t ksys_pread_pwrite(unsigned int fd, char __user *buf, size_t count, loff_t pos, bool write)
{
	struct fd f = fdget(fd);
	ssize_t ret = -EBADF;

	if (pos < 0)
		ret = -EINVAL;
	else if (f.file && !(f.file->f_mode & FMODE_LSEEK))
		ret = -ESPIPE;
	else if (f.file)
		ret = write ? vfs_write(f.file, buf, count, &pos) : vfs_read(f.file, buf, count, &pos);
	fdput(f);
	return ret;
}

SYSCALL_DEFINE4(pread64, unsigned int, fd, char __user *, buf, size_t, count, loff_t, pos)
{
	return ksys_pread_pwrite(fd, buf, count, pos, false);
}

SYSCALL_DEFINE4(pwrite64, unsigned int, fd, const char __user *, buf, size_t, count, loff_t, pos)
{
	return ksys_pread_pwrite(fd, (char __user *)buf, count, pos, true);
}

static ssize_t import_iovec(const struct iovec __user *uvector, unsigned long nr_segs, struct iovec *iov)
{
	size_t total = 0;

	if (nr_segs > UIO_MAXIOV)
		return -EINVAL;
	if (copy_from_user(iov, uvector, nr_segs * sizeof(*iov)))
		return -EFAULT;
	for (unsigned long n = 0; n < nr_segs; n++) {
		if ((ssize_t)iov[n].iov_len < 0 || (ssize_t)(total + iov[n].iov_len) < 0)
			return -EINVAL;
		if (!access_ok(iov[n].iov_base, iov[n].iov_len))
			return -EFAULT;
		total += iov[n].iov_len;
	}
	return total;
}

/* The segments one after the other, as a file without an iter operation wants them. */
static ssize_t do_loop_readv_writev(struct file *file, const struct iovec *iov, unsigned long nr, loff_t *pos, bool write)
{
	ssize_t done = 0;

	for (; nr; iov++, nr--) {
		ssize_t ret = write ? file->f_op->write(file, iov->iov_base, iov->iov_len, pos)
				    : file->f_op->read(file, iov->iov_base, iov->iov_len, pos);

		if (ret < 0)
			return done ? done : ret;
		done += ret;
		if ((size_t)ret != iov->iov_len)
			break;
	}
	return done;
}

static ssize_t do_readv_writev(struct file *file, const struct iovec __user *vec, unsigned long vlen, loff_t *pos,
			       bool write)
{
	struct iovec iov[UIO_MAXIOV];
	struct iov_iter iter = { .iter_type = ITER_IOVEC, .data_source = write, .iov = iov, .nr_segs = vlen };
	struct kiocb kiocb = { file, pos ? *pos : 0 };
	ssize_t ret;

	if (!(file->f_mode & (write ? FMODE_WRITE : FMODE_READ)))
		return -EBADF;
	if (!(file->f_mode & (write ? FMODE_CAN_WRITE : FMODE_CAN_READ)))
		return -EINVAL;
	ret = import_iovec(vec, vlen, iov);
	if (ret <= 0)
		return ret;
	if (write ? !file->f_op->write_iter : !file->f_op->read_iter)
		return do_loop_readv_writev(file, iov, vlen, pos, write);
	iter.count = ret;
	ret = write ? file->f_op->write_iter(&kiocb, &iter) : file->f_op->read_iter(&kiocb, &iter);
	if (pos)
		*pos = kiocb.ki_pos;
	return ret;
}

noinline ssize_t vfs_readv(struct file *file, const struct iovec __user *vec, unsigned long vlen, loff_t *pos)
{
	return do_readv_writev(file, vec, vlen, pos, false);
}

noinline ssize_t vfs_writev(struct file *file, const struct iovec __user *vec, unsigned long vlen, loff_t *pos)
{
	return do_readv_writev(file, vec, vlen, pos, true);
}

SYSCALL_DEFINE3(readv, unsigned long, fd, const struct iovec __user *, vec, unsigned long, vlen)
{
	struct fd f = fdget_pos(fd);
	ssize_t ret = -EBADF;

	if (f.file) {
		ret = vfs_readv(f.file, vec, vlen, file_ppos(f.file));
		fdput_pos(f);
	}
	return ret;
}

SYSCALL_DEFINE3(writev, unsigned long, fd, const struct iovec __user *, vec, unsigned long, vlen)
{
	struct fd f = fdget_pos(fd);
	ssize_t ret = -EBADF;

	if (f.file) {
		ret = vfs_writev(f.file, vec, vlen, file_ppos(f.file));
		fdput_pos(f);
	}
	return ret;
}

loff_t noop_llseek(struct file *file, loff_t offset, int whence)
{
	return file->f_pos;
}

loff_t generic_file_llseek(struct file *file, loff_t offset, int whence)
{
	loff_t base = 0;

	if (whence == SEEK_CUR)
		base = file->f_pos;
	else if (whence == SEEK_END)
		base = file_inode(file)->i_size;
	else if (whence != SEEK_SET)
		return -EINVAL;
	if (base + offset < 0)
		return -EINVAL;
	file->f_pos = base + offset;
	return file->f_pos;
}

noinline loff_t vfs_llseek(struct file *file, loff_t offset, int whence)
{
	if (!(file->f_mode & FMODE_LSEEK))
		return -ESPIPE;
	return file->f_op->llseek(file, offset, whence);
}

SYSCALL_DEFINE3(lseek, unsigned int, fd, off_t, offset, unsigned int, whence)
{
	struct fd f = fdget_pos(fd);
	loff_t ret = -EBADF;

	if (f.file) {
		ret = vfs_llseek(f.file, offset, whence);
		fdput_pos(f);
	}
	return ret;
}
