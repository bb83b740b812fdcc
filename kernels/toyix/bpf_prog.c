/*
 * bpf_prog.c: eBPF programs. The host verifies a program and keeps it; as long as the kernel uses it there is a struct
 * bpf_prog of its instructions, as the verifier leaves them. (Linux: kernel/bpf/syscall.c.)
 */
#include "anon_inodes.h"
#include "bpf.h"
#include "fdtable.h"
#include "list.h"
#include "slab.h"
#include "string.h"
#include "syscalls.h"

#define BPF_COMPLEXITY_LIMIT_INSNS	1000000
#define BPF_LD_IMM64			0x18
#define BPF_PSEUDO_MAP_FD		1
#define BPF_PSEUDO_MAP_VALUE		2
#define BPF_PSEUDO_MAP_IDX		5
#define BPF_PSEUDO_MAP_IDX_VALUE	6
#define BPF_LOG_MASK			7

static LIST_HEAD(prog_list);
static DEFINE_MUTEX(prog_mutex);

/* The last one has let go of it. */
void bpf_prog_forget(struct bpf_prog *fp)
{
	mutex_lock(&prog_mutex);
	list_del(&fp->list);
	mutex_unlock(&prog_mutex);
	bpf_prog_free_id(fp->id);
}

static int bpf_prog_release(struct inode *inode, struct file *filp)
{
	bpf_prog_put(filp->private_data);
	return 0;
}

const struct file_operations bpf_prog_fops = {
	.read = bpf_dummy_read,
	.write = bpf_dummy_write,
	.release = bpf_prog_release,
};

/* Takes over the caller's reference, also where it fails. */
int bpf_prog_new_fd(struct bpf_prog *prog)
{
	int fd = anon_inode_getfd("bpf-prog", &bpf_prog_fops, prog, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		bpf_prog_put(prog);
	return fd;
}

/* The program of a descriptor, with a reference. */
struct bpf_prog *bpf_prog_get(u32 ufd)
{
	struct bpf_prog *prog = ERR_PTR(-EINVAL);
	struct file *file = fget(ufd);

	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op == &bpf_prog_fops) {
		prog = file->private_data;
		atomic_inc(&prog->refcnt);
	}
	fput(file);
	return prog;
}

static bool bpf_prog_inc_not_zero(struct bpf_prog *prog)
{
	int refs = atomic_read(&prog->refcnt);

	while (refs && !__sync_bool_compare_and_swap(&prog->refcnt.counter, refs, refs + 1))
		refs = atomic_read(&prog->refcnt);
	return refs;
}

/* The program of an id, with a reference: the one that is there, or one that is made of what the host has. */
noinline struct bpf_prog *bpf_prog_by_id(u32 id)
{
	struct bpf_prog *prog;
	long len;

	mutex_lock(&prog_mutex);
	list_for_each_entry(prog, &prog_list, list)
		if (prog->id == id && bpf_prog_inc_not_zero(prog))
			goto out;
	len = bpf_prog_fill(id, NULL);
	prog = len < 0 ? ERR_PTR(len) : bpf_prog_alloc(len);
	if (!prog)
		prog = ERR_PTR(-ENOMEM);
	if (IS_ERR(prog))
		goto out;
	bpf_prog_fill(id, prog);
	bpf_prog_select_func(prog);
	list_add_tail(&prog->list, &prog_list);
out:
	mutex_unlock(&prog_mutex);
	return prog;
}

static bool names_a_map(const struct bpf_insn *insn)
{
	u8 src = insn->regs >> 4;

	return insn->code == BPF_LD_IMM64 && (src == BPF_PSEUDO_MAP_FD || src == BPF_PSEUDO_MAP_VALUE ||
					      src == BPF_PSEUDO_MAP_IDX || src == BPF_PSEUDO_MAP_IDX_VALUE);
}

/* The descriptor that a load names: in the instruction, or in an array that it has the index of. */
static long fd_of(const struct bpf_insn *insn, u64 fd_array)
{
	int fd;

	if ((insn->regs >> 4) < BPF_PSEUDO_MAP_IDX)
		return (u32)insn->imm;
	if (!fd_array)
		return -EPROTO;
	return get_user(fd, (const int __user *)fd_array + insn->imm) ? -EFAULT : (long)(u32)fd;
}

/* Finds the maps; the references are put by put_refs(). */
static struct bpf_map_ref *resolve_refs(const struct bpf_insn *insns, const union bpf_attr *attr, u64 *nr_refs)
{
	struct bpf_map_ref *refs;
	u64 count = 0;

	for (u32 slot = 0; slot < attr->insn_cnt; slot++)
		if (names_a_map(insns + slot))
			count++;
	refs = kcalloc(count + 1, sizeof(*refs), GFP_KERNEL);
	if (!refs)
		return NULL;
	*nr_refs = 0;
	for (u32 slot = 0; slot < attr->insn_cnt; slot++) {
		struct bpf_map_ref *ref = refs + *nr_refs;
		struct bpf_map *map;
		long fd;

		if (!names_a_map(insns + slot))
			continue;
		fd = fd_of(insns + slot, attr->fd_array);
		map = fd < 0 ? ERR_PTR(fd) : bpf_map_get(fd);
		*ref = (struct bpf_map_ref){ slot, IS_ERR(map) ? PTR_ERR(map) : 0, IS_ERR(map) ? NULL : map };
		++*nr_refs;
	}
	return refs;
}

static void put_refs(struct bpf_map_ref *refs, u64 nr_refs)
{
	for (u64 n = 0; n < nr_refs; n++)
		bpf_map_put(refs[n].map);
	kfree(refs);
}

/* What the verifier has said, page by page to where the user wants it; its end is a zero. */
static long copy_log(const union bpf_attr *attr)
{
	char *page = (char *)__get_free_page(GFP_KERNEL);
	u64 done = 0;
	long count, err = 0;

	if (!page)
		return -ENOMEM;
	while (!err && (count = bpf_vlog_copy(page, done, PAGE_SIZE)) > 0) {
		if (copy_to_user((void __user *)(attr->log_buf + done), page, count))
			err = -EFAULT;
		done += count;
	}
	free_page((unsigned long)page);
	return err;
}

static long verify_and_keep(const union bpf_attr *attr, const struct bpf_insn *insns, const char *license)
{
	struct bpf_check_args args = { .attr = attr, .insns = insns, .license = license };
	struct bpf_map_ref *refs = resolve_refs(insns, attr, &args.nr_refs);
	struct bpf_prog *prog;
	long id, err;

	if (!refs)
		return -ENOMEM;
	args.refs = refs;
	id = bpf_check(&args);
	/* Held before the maps are let go of, and before anybody else learns of it. */
	prog = id < 0 ? ERR_PTR(id) : bpf_prog_by_id(id);
	put_refs(refs, args.nr_refs);
	err = attr->log_level ? copy_log(attr) : 0;
	if (IS_ERR(prog))
		return err ? err : PTR_ERR(prog);
	if (err) {
		bpf_prog_put(prog);
		return err;
	}
	return bpf_prog_new_fd(prog);
}

noinline long bpf_prog_load(const union bpf_attr *attr)
{
	struct bpf_insn *insns;
	char license[128];
	long ret;

	if (CHECK_ATTR(attr, core_relo_rec_size))
		return -EINVAL;
	if (attr->prog_flags & ~(BPF_F_STRICT_ALIGNMENT | BPF_F_ANY_ALIGNMENT | BPF_F_TEST_STATE_FREQ | BPF_F_SLEEPABLE |
				 BPF_F_TEST_RND_HI32 | BPF_F_XDP_HAS_FRAGS))
		return -EINVAL;
	if (strncpy_from_user(license, (const char __user *)attr->license, sizeof(license) - 1) < 0)
		return -EFAULT;
	license[sizeof(license) - 1] = '\0';
	if (!attr->insn_cnt || attr->insn_cnt > BPF_COMPLEXITY_LIMIT_INSNS)
		return -E2BIG;
	insns = kmalloc(attr->insn_cnt * sizeof(*insns), GFP_USER);
	if (!insns)
		return -ENOMEM;
	ret = copy_from_user(insns, (const void __user *)attr->insns, attr->insn_cnt * sizeof(*insns)) ?
	      -EFAULT : verify_and_keep(attr, insns, license);
	kfree(insns);
	return ret;
}

struct bpf_prog_info {
	u32 type;		/*  0 */
	u32 id;
	u8 tag[8];		/*  8 */
	u32 jited_prog_len;	/* 16 */
	u32 xlated_prog_len;
	u64 jited_prog_insns, xlated_prog_insns;	/* 24 */
	u64 load_time;		/* 40 */
	u32 created_by_uid;	/* 48 */
	u32 nr_map_ids;
	u64 map_ids;		/* 56 */
	char name[BPF_OBJ_NAME_LEN];	/* 64 */
	u32 ifindex;		/* 80 */
	u32 gpl_compatible;	/* 84: one bit */
	u64 __unused[18];	/* 88 */
};

long bpf_prog_get_info_by_fd(struct bpf_prog *prog, const union bpf_attr *attr, union bpf_attr __user *uattr)
{
	struct bpf_prog_info __user *uinfo = (void __user *)attr->info.info;
	u32 info_len = attr->info.info_len;
	struct bpf_prog_info info = {
		.type = prog->type,
		.id = prog->id,
		.jited_prog_len = prog->jited_len,
		.xlated_prog_len = prog->len * sizeof(struct bpf_insn),
		.load_time = prog->load_time,
		.nr_map_ids = prog->used_map_cnt,
		.gpl_compatible = prog->gpl_compatible,
	};
	int err = bpf_check_uarg_tail_zero((const char __user *)uinfo, sizeof(info), info_len);

	if (err)
		return err;
	info_len = min(info_len, (u32)sizeof(info));
	memcpy(info.tag, prog->tag, sizeof(info.tag));
	memcpy(info.name, prog->name, sizeof(info.name));
	if (copy_to_user(uinfo, &info, info_len) || put_user(info_len, &uattr->info.info_len))
		return -EFAULT;
	return 0;
}
