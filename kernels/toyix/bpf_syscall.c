/* bpf_syscall.c: bpf(2): one system call, a command, and a union of the commands' arguments. (Linux: kernel/bpf/syscall.c.) */
#include "bpf.h"
#include "fdtable.h"
#include "hostfs.h"
#include "namei.h"
#include "slab.h"
#include "syscalls.h"

/* kernel.unprivileged_bpf_disabled is 2, as Debian has it: only root makes maps and programs. */
static bool bpf_capable(void)
{
	return capable(CAP_SYS_ADMIN);
}

int bpf_attr_check(const union bpf_attr *attr, size_t used)
{
	const u8 *byte = (const u8 *)attr;

	for (; used < sizeof(*attr); used++)
		if (byte[used])
			return -EINVAL;
	return 0;
}

/* A program made for a newer kernel passes more; as long as that is 0 this kernel does not mind. */
int bpf_check_uarg_tail_zero(const char __user *uaddr, size_t expected_size, size_t actual_size)
{
	char byte;

	if (actual_size > PAGE_SIZE)
		return -E2BIG;
	for (; expected_size < actual_size; expected_size++) {
		if (get_user(byte, uaddr + expected_size))
			return -EFAULT;
		if (byte)
			return -E2BIG;
	}
	return 0;
}

/* These two are there only so that f_mode says what the descriptor may be used for. */
ssize_t bpf_dummy_read(struct file *filp, char __user *buf, size_t siz, loff_t *ppos)
{
	return -EINVAL;
}

ssize_t bpf_dummy_write(struct file *filp, const char __user *buf, size_t siz, loff_t *ppos)
{
	return -EINVAL;
}

int bpf_get_file_flag(u32 flags)
{
	switch (flags & BPF_OBJ_FLAG_MASK) {
	case BPF_OBJ_FLAG_MASK:
		return -EINVAL;
	case BPF_F_RDONLY:
		return O_RDONLY;
	case BPF_F_WRONLY:
		return O_WRONLY;
	default:
		return O_RDWR;
	}
}

/* What a descriptor stands for, and its id. */
static u64 bpf_fd_probe_obj(u32 ufd, long *err)
{
	struct file *file = fget(ufd);
	u64 obj = 0;

	*err = 0;
	if (!file) {
		*err = -EBADF;
		return 0;
	}
	if (file->f_op == &bpf_map_fops)
		obj = BPF_OBJ(BPF_TYPE_MAP, ((struct bpf_map *)file->private_data)->id);
	else if (file->f_op == &bpf_prog_fops)
		obj = BPF_OBJ(BPF_TYPE_PROG, ((struct bpf_prog *)file->private_data)->id);
	else
		*err = -EINVAL;
	fput(file);
	return obj;
}

static noinline long bpf_obj_pin(const union bpf_attr *attr)
{
	struct dentry *dentry;
	struct path path;
	long err;
	u64 obj;

	if (CHECK_ATTR(attr, file_flags) || attr->file_flags)
		return -EINVAL;
	obj = bpf_fd_probe_obj(attr->bpf_fd, &err);
	if (err)
		return err;
	dentry = user_path_create((const char __user *)attr->pathname, &path);
	if (IS_ERR(dentry))
		return PTR_ERR(dentry);
	if (!is_bpffs(d_inode(path.dentry)))
		err = -EPERM;
	else
		err = bpf_obj_do_pin(d_inode(path.dentry)->i_ino, dentry->d_name.name, obj);
	done_path_create(&path, dentry);
	return err;
}

static noinline long bpf_obj_get(const union bpf_attr *attr)
{
	struct bpf_prog *prog;
	struct bpf_map *map;
	struct inode *inode;
	struct path path;
	int f_flags, err;
	long obj;

	if (CHECK_ATTR(attr, file_flags) || attr->bpf_fd || (attr->file_flags & ~BPF_OBJ_FLAG_MASK))
		return -EINVAL;
	f_flags = bpf_get_file_flag(attr->file_flags);
	if (f_flags < 0)
		return f_flags;
	err = user_path_at(AT_FDCWD, (const char __user *)attr->pathname, LOOKUP_FOLLOW, &path);
	if (err)
		return err;
	inode = d_inode(path.dentry);
	err = inode_permission(INIT_USER_NS, inode, f_flags == O_RDONLY ? MAY_READ : f_flags == O_WRONLY ? MAY_WRITE :
			       MAY_READ | MAY_WRITE);
	obj = err ? err : is_bpffs(inode) ? bpf_obj_at(inode->i_ino) : -EACCES;
	path_put(&path);
	if (obj < 0)
		return obj;
	if (obj >> 32 == BPF_TYPE_PROG) {
		prog = bpf_prog_by_id(obj);
		return IS_ERR(prog) ? PTR_ERR(prog) : bpf_prog_new_fd(prog);
	}
	map = bpf_map_by_id(obj);
	return IS_ERR(map) ? PTR_ERR(map) : bpf_map_new_fd(map, f_flags);
}

static long get_next_id(const union bpf_attr *attr, union bpf_attr __user *uattr, enum bpf_type type)
{
	long next;

	if (CHECK_ATTR(attr, next_id) || attr->start_id >= 0x7fffffff)
		return -EINVAL;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	next = bpf_obj_next_id(type, attr->start_id);
	return next < 0 ? next : put_user((u32)next, &uattr->next_id);
}

static long prog_get_fd_by_id(const union bpf_attr *attr)
{
	struct bpf_prog *prog;

	if (CHECK_ATTR(attr, prog_id))
		return -EINVAL;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	prog = bpf_prog_by_id(attr->prog_id);
	return IS_ERR(prog) ? PTR_ERR(prog) : bpf_prog_new_fd(prog);
}

static long map_get_fd_by_id(const union bpf_attr *attr)
{
	struct bpf_map *map;
	int f_flags;

	if (CHECK_ATTR(attr, open_flags) || (attr->open_flags & ~BPF_OBJ_FLAG_MASK))
		return -EINVAL;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	f_flags = bpf_get_file_flag(attr->open_flags);
	if (f_flags < 0)
		return f_flags;
	map = bpf_map_by_id(attr->map_id);
	return IS_ERR(map) ? PTR_ERR(map) : bpf_map_new_fd(map, f_flags);
}

static long obj_get_info_by_fd(const union bpf_attr *attr, union bpf_attr __user *uattr)
{
	struct file *file;
	long err;

	if (CHECK_ATTR(attr, info.info))
		return -EINVAL;
	file = fget(attr->info.bpf_fd);
	if (!file)
		return -EBADF;
	if (file->f_op == &bpf_map_fops)
		err = bpf_map_get_info_by_fd(file->private_data, attr, uattr);
	else if (file->f_op == &bpf_prog_fops)
		err = bpf_prog_get_info_by_fd(file->private_data, attr, uattr);
	else
		err = -EINVAL;
	fput(file);
	return err;
}

static noinline long __sys_bpf(int cmd, union bpf_attr __user *uattr, unsigned int size)
{
	union bpf_attr attr = { 0 };
	int err;

	if (!bpf_capable() && (cmd == BPF_MAP_CREATE || cmd == BPF_PROG_LOAD))
		return -EPERM;
	err = bpf_check_uarg_tail_zero((const char __user *)uattr, sizeof(attr), size);
	if (err)
		return err;
	if (copy_from_user(&attr, uattr, min(size, (unsigned int)sizeof(attr))))
		return -EFAULT;
	switch (cmd) {
	case BPF_MAP_CREATE:
		return map_create(&attr);
	case BPF_MAP_LOOKUP_ELEM:
		return map_lookup_elem(&attr);
	case BPF_MAP_UPDATE_ELEM:
		return map_update_elem(&attr);
	case BPF_MAP_DELETE_ELEM:
		return map_delete_elem(&attr);
	case BPF_MAP_GET_NEXT_KEY:
		return map_get_next_key(&attr);
	case BPF_MAP_LOOKUP_AND_DELETE_ELEM:
		return map_lookup_and_delete_elem(&attr);
	case BPF_MAP_FREEZE:
		return map_freeze(&attr);
	case BPF_PROG_LOAD:
		return bpf_prog_load(&attr);
	case BPF_OBJ_PIN:
		return bpf_obj_pin(&attr);
	case BPF_OBJ_GET:
		return bpf_obj_get(&attr);
	case BPF_PROG_GET_NEXT_ID:
		return get_next_id(&attr, uattr, BPF_TYPE_PROG);
	case BPF_MAP_GET_NEXT_ID:
		return get_next_id(&attr, uattr, BPF_TYPE_MAP);
	case BPF_PROG_GET_FD_BY_ID:
		return prog_get_fd_by_id(&attr);
	case BPF_MAP_GET_FD_BY_ID:
		return map_get_fd_by_id(&attr);
	case BPF_OBJ_GET_INFO_BY_FD:
		return obj_get_info_by_fd(&attr, uattr);
	default:
		return -EINVAL;
	}
}

SYSCALL_DEFINE3(bpf, int, cmd, union bpf_attr __user *, uattr, unsigned int, size)
{
	return __sys_bpf(cmd, uattr, size);
}
