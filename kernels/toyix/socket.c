/* socket.c: the system calls of sockets. (Linux: net/socket.c, net/core/sock.c.) */
#include "fdtable.h"
#include "filter.h"
#include "sock.h"
#include "slab.h"
#include "syscalls.h"

#define SOL_SOCKET		1
#define SO_TYPE			3
#define SO_ATTACH_FILTER	26
#define SO_GET_FILTER		SO_ATTACH_FILTER
#define SO_DETACH_FILTER	27	/* SO_DETACH_BPF is another name of it */
#define SO_DOMAIN		39
#define SO_LOCK_FILTER		44
#define SO_ATTACH_BPF		50

static struct sock *sk_alloc(void)
{
	struct sock *sk = kzalloc(sizeof(*sk), GFP_KERNEL);

	if (sk) {
		refcount_set(&sk->sk_refcnt, 1);
		skb_queue_head_init(&sk->sk_receive_queue);
		init_waitqueue_head(&sk->sk_wq);
	}
	return sk;
}

void sock_put(struct sock *sk)
{
	struct sk_buff *skb;

	if (!refcount_dec_and_test(&sk->sk_refcnt))
		return;
	while ((skb = skb_dequeue(&sk->sk_receive_queue)))
		kfree_skb(skb);
	sk_filter_uncharge(sk);
	kfree(sk);
}

static int sock_close(struct inode *inode, struct file *file)
{
	struct sock *sk = file->private_data;

	udp_lib_unhash(sk);
	sock_put(sk);
	return 0;
}

static ssize_t sock_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct sockaddr_in from;

	return udp_recvmsg(file->private_data, buf, count, file->f_flags & O_NONBLOCK ? MSG_DONTWAIT : 0, &from);
}

/* Nobody has been connected to. */
static ssize_t sock_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	return -EDESTADDRREQ;
}

static const struct file_operations socket_file_ops = {
	.llseek = NULL,
	.read = sock_read,
	.write = sock_write,
	.release = sock_close,
};

static struct file *sock_alloc_file(int flags)
{
	struct inode *inode = new_inode(root_mount.mnt.mnt_sb, S_IFSOCK | 0777);
	struct file *file;

	if (!inode)
		return ERR_PTR(-ENFILE);
	inode->i_fop = &socket_file_ops;
	inode->i_nlink = 0;
	file = alloc_file_pseudo(inode, &root_mount.mnt, "", O_RDWR | (flags & O_NONBLOCK), &socket_file_ops);
	if (IS_ERR(file)) {
		iput(inode);
		return file;
	}
	file->private_data = sk_alloc();
	if (!file->private_data) {
		file->f_op = NULL;
		file->f_mode &= ~FMODE_OPENED;
		path_put(&file->f_path);
		fput(file);
		return ERR_PTR(-ENOMEM);
	}
	return file;
}

SYSCALL_DEFINE3(socket, int, family, int, type, int, protocol)
{
	int flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC), fd;
	struct file *file;

	if (family != AF_INET)
		return -EAFNOSUPPORT;
	if ((type & ~flags) != SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	if (protocol && protocol != IPPROTO_UDP)
		return -EPROTONOSUPPORT;
	file = sock_alloc_file(flags);
	if (IS_ERR(file))
		return PTR_ERR(file);
	fd = get_unused_fd_flags(flags);
	if (fd < 0)
		fput(file);
	else
		fd_install(fd, file);
	return fd;
}

/* The socket of a descriptor; f is to be put in any case. */
static struct sock *sockfd_lookup(int fd, struct fd *f, long *err)
{
	*f = fdget(fd);
	*err = !f->file ? -EBADF : f->file->f_op != &socket_file_ops ? -ENOTSOCK : 0;
	return *err ? NULL : f->file->private_data;
}

static long move_addr_to_kernel(const void __user *uaddr, int ulen, struct sockaddr_in *addr)
{
	if (ulen < (int)sizeof(*addr))
		return -EINVAL;
	return copy_from_user(addr, uaddr, sizeof(*addr)) ? -EFAULT : 0;
}

/* As much of the address as there is room for, and how long it is. */
static long move_addr_to_user(const struct sockaddr_in *addr, void __user *uaddr, int __user *ulen)
{
	int len;

	if (get_user(len, ulen))
		return -EFAULT;
	if (len < 0)
		return -EINVAL;
	if (copy_to_user(uaddr, addr, min(len, (int)sizeof(*addr))))
		return -EFAULT;
	return put_user((int)sizeof(*addr), ulen);
}

SYSCALL_DEFINE3(bind, int, fd, struct sockaddr __user *, umyaddr, int, addrlen)
{
	struct sockaddr_in addr;
	struct fd f;
	long err;
	struct sock *sk = sockfd_lookup(fd, &f, &err);

	if (sk)
		err = move_addr_to_kernel(umyaddr, addrlen, &addr);
	if (!err && addr.sin_family != AF_INET)
		err = -EAFNOSUPPORT;
	if (!err)
		err = sk->inet_num ? -EINVAL : udp_v4_get_port(sk, addr.sin_addr, ntohs(addr.sin_port));
	fdput(f);
	return err;
}

SYSCALL_DEFINE3(getsockname, int, fd, struct sockaddr __user *, usockaddr, int __user *, usockaddr_len)
{
	struct fd f;
	long err;
	struct sock *sk = sockfd_lookup(fd, &f, &err);

	if (sk) {
		struct sockaddr_in addr = { AF_INET, htons(sk->inet_num), sk->inet_saddr };

		err = move_addr_to_user(&addr, usockaddr, usockaddr_len);
	}
	fdput(f);
	return err;
}

SYSCALL_DEFINE6(sendto, int, fd, void __user *, buff, size_t, len, unsigned int, flags, struct sockaddr __user *, addr,
		int, addr_len)
{
	struct sockaddr_in to;
	struct fd f;
	long err;
	struct sock *sk = sockfd_lookup(fd, &f, &err);

	if (sk)
		err = addr ? move_addr_to_kernel(addr, addr_len, &to) : -EDESTADDRREQ;
	if (!err)
		err = udp_sendmsg(sk, buff, len, &to);
	fdput(f);
	return err;
}

SYSCALL_DEFINE6(recvfrom, int, fd, void __user *, ubuf, size_t, size, unsigned int, flags, struct sockaddr __user *, addr,
		int __user *, addr_len)
{
	struct sockaddr_in from;
	struct fd f;
	long err;
	struct sock *sk = sockfd_lookup(fd, &f, &err);

	if (sk) {
		if (f.file->f_flags & O_NONBLOCK)
			flags |= MSG_DONTWAIT;
		err = udp_recvmsg(sk, ubuf, size, flags, &from);
	}
	if (err >= 0 && addr) {
		long moved = move_addr_to_user(&from, addr, addr_len);

		err = moved ? moved : err;
	}
	fdput(f);
	return err;
}

static int copy_bpf_fprog_from_user(struct sock_fprog *dst, const void __user *src, int len)
{
	if (len != sizeof(*dst))
		return -EINVAL;
	return copy_from_user(dst, src, sizeof(*dst)) ? -EFAULT : 0;
}

/* Every option has at least an int, read before it is looked at which option it is. */
static noinline int sock_setsockopt(struct sock *sk, int optname, const char __user *optval, int optlen)
{
	struct sock_fprog fprog;
	int val, ret;
	u32 ufd;

	if (optlen < (int)sizeof(int))
		return -EINVAL;
	if (get_user(val, (const int __user *)optval))
		return -EFAULT;
	switch (optname) {
	case SO_ATTACH_FILTER:
		ret = copy_bpf_fprog_from_user(&fprog, optval, optlen);
		return ret ? ret : sk_attach_filter(&fprog, sk);
	case SO_ATTACH_BPF:
		ufd = val;
		return optlen == sizeof(ufd) ? sk_attach_bpf(ufd, sk) : -EINVAL;
	case SO_DETACH_FILTER:
		return sk_detach_filter(sk);
	case SO_LOCK_FILTER:
		if (sk->filter_locked && !val)
			return -EPERM;
		sk->filter_locked = val;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

SYSCALL_DEFINE5(setsockopt, int, fd, int, level, int, optname, char __user *, optval, int, optlen)
{
	struct fd f;
	long err;
	struct sock *sk = sockfd_lookup(fd, &f, &err);

	if (sk)
		err = optlen < 0 ? -EINVAL : level == SOL_SOCKET ? sock_setsockopt(sk, optname, optval, optlen) : -ENOPROTOOPT;
	fdput(f);
	return err;
}

static noinline int sock_getsockopt(struct sock *sk, int optname, char __user *optval, int __user *optlen)
{
	int len, val;

	if (get_user(len, optlen))
		return -EFAULT;
	if (len < 0)
		return -EINVAL;
	switch (optname) {
	case SO_TYPE:
		val = SOCK_DGRAM;
		break;
	case SO_DOMAIN:
		val = AF_INET;
		break;
	case SO_LOCK_FILTER:
		val = sk->filter_locked;
		break;
	case SO_GET_FILTER:
		/* This one counts in instructions. */
		len = sk_get_filter(sk, optval, len);
		return len < 0 ? len : put_user(len, optlen);
	default:
		return -ENOPROTOOPT;
	}
	len = min(len, (int)sizeof(val));
	if (copy_to_user(optval, &val, len))
		return -EFAULT;
	return put_user(len, optlen);
}

SYSCALL_DEFINE5(getsockopt, int, fd, int, level, int, optname, char __user *, optval, int __user *, optlen)
{
	struct fd f;
	long err;
	struct sock *sk = sockfd_lookup(fd, &f, &err);

	if (sk)
		err = level == SOL_SOCKET ? sock_getsockopt(sk, optname, optval, optlen) : -ENOPROTOOPT;
	fdput(f);
	return err;
}
