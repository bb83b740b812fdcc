/*
 * pipe.c: pipes. A ring of buffers of one page each, between those who write at its head and those who read at its tail.
 * A reader of an empty pipe and a writer to a full one sleep.
 */
#include "fdtable.h"
#include "sched.h"
#include "string.h"
#include "syscalls.h"

#define PIPE_BUFFERS	16		/* a power of two */
#define PIPE_BUF	PAGE_SIZE	/* a write of up to this many bytes is never torn apart */

struct pipe_buffer {
	struct page *page;
	unsigned int offset, len;
};

struct pipe_inode_info {
	struct mutex mutex;
	wait_queue_head_t rd_wait, wr_wait;
	unsigned int head;		/* both only grow; a buffer's slot is the count modulo the ring's size */
	unsigned int tail;
	unsigned int readers, writers;	/* open files */
	struct pipe_buffer bufs[PIPE_BUFFERS];
};

static bool pipe_empty(const struct pipe_inode_info *pipe) { return pipe->head == pipe->tail; }
static bool pipe_full(const struct pipe_inode_info *pipe) { return pipe->head - pipe->tail == PIPE_BUFFERS; }

static struct pipe_buffer *pipe_buf(struct pipe_inode_info *pipe, unsigned int slot)
{
	return &pipe->bufs[slot % PIPE_BUFFERS];
}

static struct pipe_inode_info *alloc_pipe_info(void)
{
	struct pipe_inode_info *pipe = kzalloc(sizeof(*pipe), GFP_KERNEL);

	if (!pipe)
		return NULL;
	mutex_init(&pipe->mutex);
	init_waitqueue_head(&pipe->rd_wait);
	init_waitqueue_head(&pipe->wr_wait);
	pipe->readers = pipe->writers = 1;
	return pipe;
}

void free_pipe_info(struct pipe_inode_info *pipe)
{
	for (; !pipe_empty(pipe); pipe->tail++)
		put_page(pipe_buf(pipe, pipe->tail)->page);
	kfree(pipe);
}

/* Sleeps with the pipe unlocked until condition holds or a signal comes. */
#define pipe_wait(pipe, queue, condition) ({				\
	mutex_unlock(&(pipe)->mutex);					\
	long __err = wait_event_interruptible(queue, condition);	\
	mutex_lock(&(pipe)->mutex);					\
	__err;								\
})

/* Takes what is there, up to what is asked; sleeps only where nothing is. */
static noinline ssize_t pipe_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct pipe_inode_info *pipe = file->private_data;
	ssize_t ret = 0;

	if (!to->count)
		return 0;
	mutex_lock(&pipe->mutex);
	for (;;) {
		while (to->count && !pipe_empty(pipe)) {
			struct pipe_buffer *buf = pipe_buf(pipe, pipe->tail);
			size_t want = min((size_t)buf->len, to->count);
			size_t copied = copy_to_iter((char *)page_address(buf->page) + buf->offset, want, to);

			ret += copied;
			buf->offset += copied;
			buf->len -= copied;
			if (!buf->len) {
				put_page(buf->page);
				pipe->tail++;
			}
			if (copied < want) {
				ret = ret ? ret : -EFAULT;
				break;
			}
		}
		/* No writer is left: this is the end, not a wait. */
		if (ret || !pipe->writers)
			break;
		if (file->f_flags & O_NONBLOCK) {
			ret = -EAGAIN;
			break;
		}
		if (pipe_wait(pipe, pipe->rd_wait, !pipe_empty(pipe) || !pipe->writers)) {
			ret = -ERESTARTSYS;
			break;
		}
	}
	mutex_unlock(&pipe->mutex);
	if (ret > 0)
		wake_up_interruptible(&pipe->wr_wait);
	return ret;
}

/* Appends to the newest buffer as much as fits there. A small write goes there whole or not at all. */
static ssize_t pipe_merge(struct pipe_inode_info *pipe, struct iov_iter *from)
{
	struct pipe_buffer *buf;
	size_t end, chars = from->count & (PAGE_SIZE - 1);

	if (pipe_empty(pipe) || !chars)
		return 0;
	buf = pipe_buf(pipe, pipe->head - 1);
	end = buf->offset + buf->len;
	if (end + chars > PAGE_SIZE)
		return 0;
	chars = copy_from_iter((char *)page_address(buf->page) + end, chars, from);
	buf->len += chars;
	return chars ? (ssize_t)chars : -EFAULT;
}

/* One more buffer, with up to a page of the writer's bytes. */
static ssize_t pipe_append(struct pipe_inode_info *pipe, struct iov_iter *from)
{
	struct page *page = alloc_page(GFP_USER);
	size_t copied;

	if (!page)
		return -ENOMEM;
	copied = copy_from_iter(page_address(page), PAGE_SIZE, from);
	if (!copied) {
		put_page(page);
		return -EFAULT;
	}
	*pipe_buf(pipe, pipe->head++) = (struct pipe_buffer){ page, 0, copied };
	return copied;
}

static noinline ssize_t pipe_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp;
	struct pipe_inode_info *pipe = file->private_data;
	ssize_t ret = 0, done;

	if (!from->count)
		return 0;
	mutex_lock(&pipe->mutex);
	if (pipe->readers) {
		done = pipe_merge(pipe, from);
		ret = done;
	}
	while (ret >= 0 && from->count) {
		if (!pipe->readers) {
			send_sig(SIGPIPE, current, 0);
			ret = ret ? ret : -EPIPE;
			break;
		}
		if (!pipe_full(pipe)) {
			done = pipe_append(pipe, from);
			if (done < 0) {
				ret = ret ? ret : done;
				break;
			}
			ret += done;
			continue;
		}
		if (file->f_flags & O_NONBLOCK) {
			ret = ret ? ret : -EAGAIN;
			break;
		}
		/* Before sleeping: the readers must know that there is work. */
		wake_up_interruptible(&pipe->rd_wait);
		if (pipe_wait(pipe, pipe->wr_wait, !pipe_full(pipe) || !pipe->readers)) {
			ret = ret ? ret : -ERESTARTSYS;
			break;
		}
	}
	mutex_unlock(&pipe->mutex);
	if (ret > 0)
		wake_up_interruptible(&pipe->rd_wait);
	return ret;
}

/* One end was closed. Whoever waits at the other looks again. */
static int pipe_release(struct inode *inode, struct file *file)
{
	struct pipe_inode_info *pipe = file->private_data;

	mutex_lock(&pipe->mutex);
	if (file->f_mode & FMODE_READ)
		pipe->readers--;
	if (file->f_mode & FMODE_WRITE)
		pipe->writers--;
	mutex_unlock(&pipe->mutex);
	wake_up_all(&pipe->rd_wait);
	wake_up_all(&pipe->wr_wait);
	return 0;
}

static const struct file_operations pipefifo_fops = {
	.read_iter = pipe_read,
	.write_iter = pipe_write,
	.release = pipe_release,
};

/* Two files over one inode: res[0] reads, res[1] writes. */
static int create_pipe_files(struct file **res, int flags)
{
	struct inode *inode = new_inode(root_mount.mnt.mnt_sb, S_IFIFO | 0600);

	if (!inode)
		return -ENFILE;
	inode->i_fop = &pipefifo_fops;
	inode->i_nlink = 0;
	inode->i_pipe = alloc_pipe_info();
	if (!inode->i_pipe) {
		iput(inode);
		return -ENFILE;
	}
	for (int end = 0; end < 2; end++) {
		ihold(inode);
		res[end] = alloc_file_pseudo(inode, &root_mount.mnt, "",
					     (end ? O_WRONLY : O_RDONLY) | (flags & O_NONBLOCK), &pipefifo_fops);
		if (IS_ERR(res[end])) {
			int error = PTR_ERR(res[end]);

			iput(inode);
			if (end)
				fput(res[0]);
			iput(inode);
			return error;
		}
		res[end]->private_data = inode->i_pipe;
	}
	iput(inode);
	return 0;
}

noinline int do_pipe2(int __user *fildes, int flags)
{
	struct file *files[2];
	int fd[2], error;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	error = create_pipe_files(files, flags);
	if (error)
		return error;
	fd[0] = get_unused_fd_flags(flags);
	fd[1] = get_unused_fd_flags(flags);
	if (fd[0] >= 0 && fd[1] >= 0 && !copy_to_user(fildes, fd, sizeof(fd))) {
		fd_install(fd[0], files[0]);
		fd_install(fd[1], files[1]);
		return 0;
	}
	error = fd[0] < 0 ? fd[0] : fd[1] < 0 ? fd[1] : -EFAULT;
	for (int end = 0; end < 2; end++) {
		fput(files[end]);
		if (fd[end] >= 0)
			put_unused_fd(fd[end]);
	}
	return error;
}

SYSCALL_DEFINE2(pipe2, int __user *, fildes, int, flags)
{
	return do_pipe2(fildes, flags);
}

SYSCALL_DEFINE1(pipe, int __user *, fildes)
{
	return do_pipe2(fildes, 0);
}
