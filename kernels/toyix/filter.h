/* filter.h: BPF programs that the kernel itself runs: filters of system calls (seccomp.c) and of packets (sock_filter.c). */
#ifndef _FILTER_H
#define _FILTER_H

#include "atomic.h"
#include "types.h"
#include "uaccess.h"

/* One instruction of a classic program. */
struct sock_filter {
	u16 code;		/* 0 */
	u8 jt;			/* 2: how many instructions a jump skips if its condition holds */
	u8 jf;			/* 3: and if not */
	u32 k;			/* 4 */
};

/* What user space passes. */
struct sock_fprog {
	unsigned short len;			/* 0: instructions */
	struct sock_filter __user *filter;	/* 8 */
};

/* One instruction of an eBPF program. */
struct bpf_insn {
	u8 code;		/* 0 */
	u8 regs;		/* 1: dst_reg low, src_reg high */
	s16 off;		/* 2 */
	s32 imm;		/* 4 */
};

#define BPF_MAXINSNS	4096
#define MAX_BPF_EXT_REG	11	/* R0 to R10 */

struct bpf_prog {
	u16 jited;		/*  0: bpf_func is the program's own machine code */
	u16 seccomp;		/*  2: its context is a seccomp_data, and not an sk_buff */
	u32 len;		/*  4: of insnsi */
	u32 jited_len;		/*  8 */
	u32 stack_depth;	/* 12: bytes of stack that it uses */
	atomic_t refcnt;	/* 16 */
	u32 orig_len;		/* 20 */
	struct sock_filter *orig_prog;	/* 24: the classic program as user space gave it */
	unsigned int (*bpf_func)(const void *ctx, const struct bpf_insn *insn);	/* 32 */
	/* Of a program that came in by bpf(2). */
	u32 id;			/* 40; 0: it was a classic program */
	u32 type;		/* 44: BPF_PROG_TYPE_ */
	u64 load_time;		/* 48: ns since boot */
	u8 tag[8];		/* 56 */
	char name[16];		/* 64 */
	u16 gpl_compatible;	/* 80 */
	u16 cb_access;		/* 82: it uses cb[] of the packet */
	u32 used_map_cnt;	/* 84 */
	struct list_head list;	/* 88: all that have an id */
	struct bpf_insn insnsi[];	/* 104 */
};

static inline unsigned int bpf_prog_run(const struct bpf_prog *prog, const void *ctx)
{
	return prog->bpf_func(ctx, prog->insnsi);
}

int bpf_prog_create_from_user(struct bpf_prog **pfp, const struct sock_fprog *fprog, bool seccomp);
struct bpf_prog *bpf_prog_alloc(u32 len);
void bpf_prog_select_runtime(struct bpf_prog *fp);
void bpf_prog_put(struct bpf_prog *fp);
void bpf_prog_select_func(struct bpf_prog *fp);
void bpf_prog_forget(struct bpf_prog *fp);

/* What the host plays (filter_stubs.S); -errno where they fail. */
long bpf_check_classic(const struct sock_filter *filter, unsigned long flen);
long seccomp_check_filter(struct sock_filter *filter, unsigned long flen);
long bpf_convert_filter(const struct sock_filter *prog, unsigned long len, struct bpf_prog *new_prog);	/* its length */
long bpf_int_jit_compile(struct bpf_prog *prog);
long bpf_jit_free(struct bpf_prog *prog);
u64 ___bpf_prog_run(u64 *regs, const struct bpf_insn *insn);

#endif
