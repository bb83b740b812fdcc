/*
 * bpf_map.c: what user space does with maps. Keys and values are copied here; what the map says to them the host knows.
 * (Linux: kernel/bpf/syscall.c.)
 */
#include "anon_inodes.h"
#include "bpf.h"
#include "fdtable.h"
#include "slab.h"
#include "string.h"

void bpf_map_put(struct bpf_map *map)
{
	if (map && atomic_dec_and_test(&map->refcnt))
		bpf_map_free(map);
}

static int bpf_map_release(struct inode *inode, struct file *filp)
{
	bpf_map_put(filp->private_data);
	return 0;
}

const struct file_operations bpf_map_fops = {
	.read = bpf_dummy_read,
	.write = bpf_dummy_write,
	.release = bpf_map_release,
};

/* Takes over the caller's reference, also where it fails. */
int bpf_map_new_fd(struct bpf_map *map, int flags)
{
	int fd = anon_inode_getfd("bpf-map", &bpf_map_fops, map, flags | O_CLOEXEC);

	if (fd < 0)
		bpf_map_put(map);
	return fd;
}

static struct bpf_map *__bpf_map_get(struct file *file)
{
	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op != &bpf_map_fops)
		return ERR_PTR(-EINVAL);
	return file->private_data;
}

/* The map of a descriptor, with a reference. */
struct bpf_map *bpf_map_get(u32 ufd)
{
	struct file *file = fget(ufd);
	struct bpf_map *map = __bpf_map_get(file);

	if (!IS_ERR(map))
		atomic_inc(&map->refcnt);
	if (file)
		fput(file);
	return map;
}

/* A map for the length of one command, if its descriptor has the right. */
static struct bpf_map *map_of_fd(u32 ufd, fmode_t right, struct file **file)
{
	struct bpf_map *map;

	*file = fget(ufd);
	map = __bpf_map_get(*file);
	if (!IS_ERR(map) && ((*file)->f_mode & right) != right)
		map = ERR_PTR(-EPERM);
	if (IS_ERR(map) && *file)
		fput(*file);
	return map;
}

static void *memdup_user(const void __user *src, size_t len)
{
	void *p = kmalloc(len, GFP_USER);

	if (!p)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(p, src, len)) {
		kfree(p);
		return ERR_PTR(-EFAULT);
	}
	return p;
}

/* Maps without keys, such as queues, want none. */
static void *__bpf_copy_key(u64 ukey, u64 key_size)
{
	if (key_size)
		return memdup_user((void __user *)ukey, key_size);
	return ukey ? ERR_PTR(-EINVAL) : NULL;
}

/* What a command on an element works with. */
struct map_elem {
	struct bpf_map *map;
	struct file *file;	/* holds the map meanwhile */
	void *key;
};

/* After 0 comes map_elem_put(). Only who asks for the next key may leave the key out. */
static long map_elem_get(struct map_elem *elem, const union bpf_attr *attr, fmode_t right, bool needs_key)
{
	elem->map = map_of_fd(attr->map_fd, right, &elem->file);
	if (IS_ERR(elem->map))
		return PTR_ERR(elem->map);
	elem->key = needs_key || attr->key ? __bpf_copy_key(attr->key, elem->map->key_size) : NULL;
	if (!IS_ERR(elem->key))
		return 0;
	fput(elem->file);
	return PTR_ERR(elem->key);
}

static void map_elem_put(struct map_elem *elem)
{
	kfree(elem->key);
	fput(elem->file);
}

long map_create(const union bpf_attr *attr)
{
	struct bpf_map *map, *inner = NULL;
	int f_flags;

	if (CHECK_ATTR(attr, map_extra))
		return -EINVAL;
	/* There is no BPF_BTF_LOAD, so no descriptor is one of types. */
	if (attr->btf_vmlinux_value_type_id || (attr->btf_key_type_id && !attr->btf_value_type_id))
		return -EINVAL;
	f_flags = bpf_get_file_flag(attr->map_flags);
	if (f_flags < 0)
		return f_flags;
	if (attr->map_type == BPF_MAP_TYPE_ARRAY_OF_MAPS || attr->map_type == BPF_MAP_TYPE_HASH_OF_MAPS) {
		inner = bpf_map_get(attr->inner_map_fd);
		if (IS_ERR(inner))
			return PTR_ERR(inner);
	}
	map = find_and_alloc_map(attr, inner);
	bpf_map_put(inner);
	if (IS_ERR(map))
		return PTR_ERR(map);
	if (attr->btf_key_type_id || attr->btf_value_type_id) {
		struct file *btf = fget(attr->btf_fd);

		bpf_map_put(map);
		if (!btf)
			return -EBADF;
		fput(btf);
		return -EINVAL;
	}
	return bpf_map_new_fd(map, f_flags);
}

long map_lookup_elem(const union bpf_attr *attr)
{
	struct map_elem elem;
	u32 value_size;
	void *value;
	long err;

	if (CHECK_ATTR(attr, flags) || (attr->flags & ~BPF_F_LOCK))
		return -EINVAL;
	err = map_elem_get(&elem, attr, FMODE_CAN_READ, true);
	if (err)
		return err;
	value_size = bpf_map_value_size(elem.map);
	value = kmalloc(value_size, GFP_USER);
	err = value ? 0 : -ENOMEM;
	/* Of a bloom filter it is asked whether it has this value. */
	if (!err && elem.map->map_type == BPF_MAP_TYPE_BLOOM_FILTER) {
		if (copy_from_user(value, (void __user *)attr->value, value_size))
			err = -EFAULT;
		else
			err = bpf_map_copy_value(elem.map, elem.key, value, attr->flags);
	} else if (!err) {
		err = bpf_map_copy_value(elem.map, elem.key, value, attr->flags);
		if (!err && copy_to_user((void __user *)attr->value, value, value_size))
			err = -EFAULT;
	}
	kfree(value);
	map_elem_put(&elem);
	return err;
}

/*
 * Arrays of kernel objects are given descriptors; what such a one stands for takes its place in value, which has 8 bytes:
 * a program's id, or a map's address. The object is to be put once the map has it.
 */
static long fd_to_object(struct bpf_map *map, u64 *value, struct bpf_prog **prog, struct bpf_map **inner)
{
	u32 ufd = *(u32 *)value;
	struct file *file;

	switch (map->map_type) {
	case BPF_MAP_TYPE_PROG_ARRAY:
		*prog = bpf_prog_get(ufd);
		if (IS_ERR(*prog))
			return PTR_ERR(*prog);
		*value = (*prog)->id;
		return 0;
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
	case BPF_MAP_TYPE_HASH_OF_MAPS:
		*inner = bpf_map_get(ufd);
		if (IS_ERR(*inner))
			return PTR_ERR(*inner);
		*value = (u64)*inner;
		return 0;
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
		/* There is no perf_event_open(2). */
		file = fget(ufd);
		if (!file)
			return -EBADF;
		fput(file);
		return -EINVAL;
	default:
		return 0;
	}
}

long map_update_elem(const union bpf_attr *attr)
{
	struct bpf_prog *prog = NULL;
	struct bpf_map *inner = NULL;
	struct map_elem elem;
	u32 value_size;
	void *value;
	long err;

	if (CHECK_ATTR(attr, flags))
		return -EINVAL;
	err = map_elem_get(&elem, attr, FMODE_CAN_WRITE, true);
	if (err)
		return err;
	value_size = bpf_map_value_size(elem.map);
	value = kzalloc(max(value_size, 8U), GFP_USER);
	if (!value)
		err = -ENOMEM;
	else if (copy_from_user(value, (void __user *)attr->value, value_size))
		err = -EFAULT;
	else
		err = fd_to_object(elem.map, value, &prog, &inner);
	if (!err)
		err = bpf_map_update_value(elem.map, elem.key, value, attr->flags);
	if (!IS_ERR_OR_NULL(prog))
		bpf_prog_put(prog);
	if (!IS_ERR_OR_NULL(inner))
		bpf_map_put(inner);
	kfree(value);
	map_elem_put(&elem);
	return err;
}

long map_delete_elem(const union bpf_attr *attr)
{
	struct map_elem elem;
	long err;

	if (CHECK_ATTR(attr, key))
		return -EINVAL;
	err = map_elem_get(&elem, attr, FMODE_CAN_WRITE, true);
	if (err)
		return err;
	err = bpf_map_delete_value(elem.map, elem.key);
	map_elem_put(&elem);
	return err;
}

/* Without a key, the first one. */
long map_get_next_key(const union bpf_attr *attr)
{
	struct map_elem elem;
	void *next_key;
	long err;

	if (CHECK_ATTR(attr, next_key))
		return -EINVAL;
	err = map_elem_get(&elem, attr, FMODE_CAN_READ, false);
	if (err)
		return err;
	next_key = kmalloc(max(elem.map->key_size, 8U), GFP_USER);
	err = next_key ? bpf_map_next_key(elem.map, elem.key, next_key) : -ENOMEM;
	if (!err && copy_to_user((void __user *)attr->next_key, next_key, elem.map->key_size))
		err = -EFAULT;
	kfree(next_key);
	map_elem_put(&elem);
	return err;
}

long map_lookup_and_delete_elem(const union bpf_attr *attr)
{
	struct map_elem elem;
	u32 value_size;
	void *value;
	long err;

	if (CHECK_ATTR(attr, flags) || (attr->flags & ~BPF_F_LOCK))
		return -EINVAL;
	err = map_elem_get(&elem, attr, FMODE_CAN_READ | FMODE_CAN_WRITE, true);
	if (err)
		return err;
	value_size = bpf_map_value_size(elem.map);
	value = kmalloc(value_size, GFP_USER);
	err = value ? bpf_map_take_value(elem.map, elem.key, value, attr->flags) : -ENOMEM;
	if (!err && copy_to_user((void __user *)attr->value, value, value_size))
		err = -EFAULT;
	kfree(value);
	map_elem_put(&elem);
	return err;
}

long map_freeze(const union bpf_attr *attr)
{
	struct bpf_map *map;
	struct file *file;
	long err;

	if (CHECK_ATTR(attr, map_fd))
		return -EINVAL;
	map = map_of_fd(attr->map_fd, FMODE_CAN_WRITE, &file);
	if (IS_ERR(map))
		return PTR_ERR(map);
	err = bpf_map_freeze(map);
	fput(file);
	return err;
}

struct bpf_map_info {
	u32 type;		/*  0 */
	u32 id;
	u32 key_size;
	u32 value_size;
	u32 max_entries;	/* 16 */
	u32 map_flags;
	char name[BPF_OBJ_NAME_LEN];	/* 24 */
	u32 ifindex;		/* 40 */
	u32 btf_vmlinux_value_type_id;
	u64 netns_dev, netns_ino;	/* 48 */
	u32 btf_id, btf_key_type_id, btf_value_type_id, __unused;
	u64 map_extra;		/* 80 */
};

long bpf_map_get_info_by_fd(struct bpf_map *map, const union bpf_attr *attr, union bpf_attr __user *uattr)
{
	struct bpf_map_info __user *uinfo = (void __user *)attr->info.info;
	u32 info_len = attr->info.info_len;
	struct bpf_map_info info = {
		.type = map->map_type,
		.id = map->id,
		.key_size = map->key_size,
		.value_size = map->value_size,
		.max_entries = map->max_entries,
		.map_flags = map->map_flags,
		.map_extra = map->map_extra,
	};
	int err = bpf_check_uarg_tail_zero((const char __user *)uinfo, sizeof(info), info_len);

	if (err)
		return err;
	info_len = min(info_len, (u32)sizeof(info));
	memcpy(info.name, map->name, sizeof(info.name));
	if (copy_to_user(uinfo, &info, info_len) || put_user(info_len, &uattr->info.info_len))
		return -EFAULT;
	return 0;
}
