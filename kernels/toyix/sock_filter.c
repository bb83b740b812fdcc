/* sock_filter.c: the filter of a socket: what it does not let through the socket never sees. (Linux: net/core/filter.c.) */
#include "bpf.h"
#include "filter.h"
#include "sock.h"
#include "slab.h"
#include "string.h"

#define OPTMEM_MAX	20480		/* sysctl net.core.optmem_max */
#define BPF_PROG_HEAD	72		/* what Linux's struct bpf_prog has before its instructions */

/* cb[] is the program's to write in; the layer that has the packet finds there what it had left. */
static unsigned int bpf_prog_run_save_cb(const struct bpf_prog *prog, struct sk_buff *skb)
{
	u8 *cb_data = skb->cb + QDISC_CB_DATA, cb_saved[BPF_SKB_CB_LEN];
	unsigned int res;

	if (!prog->cb_access)
		return bpf_prog_run(prog, skb);
	memcpy(cb_saved, cb_data, sizeof(cb_saved));
	memset(cb_data, 0, sizeof(cb_saved));
	res = bpf_prog_run(prog, skb);
	memcpy(cb_data, cb_saved, sizeof(cb_saved));
	return res;
}

/*
 * 0: the packet goes on, cut off at as many bytes as the filter returned, but not shorter than cap. -EPERM: it is dropped.
 * The filter sees the packet from skb->data on, which for UDP is its own header; those before it are at SKF_NET_OFF.
 */
noinline int sk_filter_trim_cap(struct sock *sk, struct sk_buff *skb, unsigned int cap)
{
	struct sk_filter *filter = sk->sk_filter;
	struct sock *save_sk = skb->sk;
	unsigned int pkt_len;

	if (!filter)
		return 0;
	skb->sk = sk;
	pkt_len = bpf_prog_run_save_cb(filter->prog, skb);
	skb->sk = save_sk;
	sk_filter_report(skb, pkt_len, cap);
	if (!pkt_len)
		return -EPERM;
	pskb_trim(skb, max(cap, pkt_len));
	return 0;
}

void sk_filter_uncharge(struct sock *sk)
{
	struct sk_filter *fp = sk->sk_filter;

	sk->sk_filter = NULL;
	if (fp) {
		bpf_prog_put(fp->prog);
		kfree(fp);
	}
}

static int __sk_attach_prog(struct bpf_prog *prog, struct sock *sk)
{
	struct sk_filter *fp;

	if (BPF_PROG_HEAD + prog->len * sizeof(struct bpf_insn) >= OPTMEM_MAX)
		return -ENOMEM;
	fp = kzalloc(sizeof(*fp), GFP_KERNEL);
	if (!fp)
		return -ENOMEM;
	fp->prog = prog;
	sk_filter_uncharge(sk);
	sk->sk_filter = fp;
	return 0;
}

noinline int sk_attach_filter(const struct sock_fprog *fprog, struct sock *sk)
{
	struct bpf_prog *prog;
	int err;

	if (sk->filter_locked)
		return -EPERM;
	err = bpf_prog_create_from_user(&prog, fprog, false);
	if (err)
		return err;
	err = __sk_attach_prog(prog, sk);
	if (err)
		bpf_prog_put(prog);
	return err;
}

noinline int sk_attach_bpf(u32 ufd, struct sock *sk)
{
	struct bpf_prog *prog;
	int err;

	if (sk->filter_locked)
		return -EPERM;
	prog = bpf_prog_get(ufd);
	if (IS_ERR(prog))
		return PTR_ERR(prog);
	err = prog->type == BPF_PROG_TYPE_SOCKET_FILTER ? __sk_attach_prog(prog, sk) : -EINVAL;
	if (err)
		bpf_prog_put(prog);
	return err;
}

int sk_detach_filter(struct sock *sk)
{
	if (sk->filter_locked)
		return -EPERM;
	if (!sk->sk_filter)
		return -ENOENT;
	sk_filter_uncharge(sk);
	return 0;
}

/* How many instructions the attached program has, as it was given; where len says that there is room, also these. */
int sk_get_filter(struct sock *sk, void __user *optval, unsigned int len)
{
	const struct bpf_prog *prog = sk->sk_filter ? sk->sk_filter->prog : NULL;

	if (!prog)
		return 0;
	/* An eBPF program has no classic form. */
	if (!prog->orig_prog)
		return -EACCES;
	if (!len)
		return prog->orig_len;
	if (len < prog->orig_len)
		return -EINVAL;
	if (copy_to_user(optval, prog->orig_prog, prog->orig_len * sizeof(struct sock_filter)))
		return -EFAULT;
	return prog->orig_len;
}
