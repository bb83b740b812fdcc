/*
 * filter.c: how a classic program gets into the kernel. It is copied, checked, converted to eBPF, and becomes either
 * machine code or the business of an interpreter; who runs it cannot tell. (Linux: net/core/filter.c, kernel/bpf/core.c.)
 */
#include "filter.h"
#include "slab.h"
#include "string.h"

/* Registers and stack of an interpreted program are on the stack of whoever runs it. */
#define DEFINE_BPF_PROG_RUN(stack_size)							\
static unsigned int __bpf_prog_run##stack_size(const void *ctx, const struct bpf_insn *insn)	\
{											\
	u64 stack[stack_size / sizeof(u64)], regs[MAX_BPF_EXT_REG] = { 0 };		\
											\
	regs[10] = (u64)&stack[stack_size / sizeof(u64)];				\
	regs[1] = (u64)ctx;								\
	return ___bpf_prog_run(regs, insn);						\
}
DEFINE_BPF_PROG_RUN(32)
DEFINE_BPF_PROG_RUN(64)
DEFINE_BPF_PROG_RUN(512)

void bpf_prog_select_func(struct bpf_prog *fp)
{
	fp->bpf_func = fp->stack_depth <= 32 ? __bpf_prog_run32 :
		       fp->stack_depth <= 64 ? __bpf_prog_run64 : __bpf_prog_run512;
}

void bpf_prog_select_runtime(struct bpf_prog *fp)
{
	bpf_prog_select_func(fp);
	/* Takes the interpreter's place if net.core.bpf_jit_enable asks for it. */
	bpf_int_jit_compile(fp);
}

struct bpf_prog *bpf_prog_alloc(u32 len)
{
	struct bpf_prog *fp = kzalloc(sizeof(*fp) + len * sizeof(fp->insnsi[0]), GFP_KERNEL);

	if (fp) {
		fp->len = len;
		atomic_set(&fp->refcnt, 1);
	}
	return fp;
}

static void bpf_prog_free(struct bpf_prog *fp)
{
	if (fp->id)
		bpf_prog_forget(fp);
	else if (fp->jited)
		bpf_jit_free(fp);
	kfree(fp->orig_prog);
	kfree(fp);
}

void bpf_prog_put(struct bpf_prog *fp)
{
	if (fp && atomic_dec_and_test(&fp->refcnt))
		bpf_prog_free(fp);
}

/* From checked classic instructions to a program of the kernel's own kind. */
static noinline struct bpf_prog *bpf_migrate_filter(const struct sock_filter *insns, unsigned int len)
{
	long new_len = bpf_convert_filter(insns, len, NULL);
	struct bpf_prog *fp;

	if (new_len < 0)
		return ERR_PTR(new_len);
	fp = bpf_prog_alloc(new_len);
	if (!fp)
		return ERR_PTR(-ENOMEM);
	bpf_convert_filter(insns, len, fp);
	return fp;
}

static noinline struct bpf_prog *bpf_prepare_filter(struct sock_filter *insns, unsigned int len, bool seccomp)
{
	struct bpf_prog *fp;
	long err = bpf_check_classic(insns, len);

	if (!err && seccomp)
		err = seccomp_check_filter(insns, len);
	if (err)
		return ERR_PTR(err);
	fp = bpf_migrate_filter(insns, len);
	if (IS_ERR(fp))
		return fp;
	fp->seccomp = seccomp;
	bpf_prog_select_runtime(fp);
	return fp;
}

static bool bpf_check_basics_ok(const struct sock_filter __user *filter, unsigned int flen)
{
	return filter && flen && flen <= BPF_MAXINSNS;
}

int bpf_prog_create_from_user(struct bpf_prog **pfp, const struct sock_fprog *fprog, bool seccomp)
{
	unsigned long fsize = fprog->len * sizeof(struct sock_filter);
	struct sock_filter *insns, *orig;
	struct bpf_prog *fp;

	if (!bpf_check_basics_ok(fprog->filter, fprog->len))
		return -EINVAL;
	insns = kmalloc(fsize, GFP_KERNEL);
	orig = kmalloc(fsize, GFP_KERNEL);
	if (!insns || !orig)
		fp = ERR_PTR(-ENOMEM);
	else if (copy_from_user(insns, fprog->filter, fsize))
		fp = ERR_PTR(-EFAULT);
	else {
		/* seccomp rewrites what it has checked. */
		memcpy(orig, insns, fsize);
		fp = bpf_prepare_filter(insns, fprog->len, seccomp);
	}
	kfree(insns);
	if (IS_ERR(fp)) {
		kfree(orig);
		return PTR_ERR(fp);
	}
	fp->orig_prog = orig;
	fp->orig_len = fprog->len;
	*pfp = fp;
	return 0;
}
