/* sock.h: sockets. There is one kind: UDP over IPv4, and one way to send: to this machine itself. */
#ifndef _SOCK_H
#define _SOCK_H

#include "atomic.h"
#include "fs.h"
#include "skbuff.h"

#define AF_INET		2
#define SOCK_DGRAM	2
#define SOCK_NONBLOCK	O_NONBLOCK
#define SOCK_CLOEXEC	O_CLOEXEC
#define IPPROTO_UDP	17
#define MSG_DONTWAIT	0x40
#define MSG_TRUNC	0x20

#define INADDR_ANY	0x00000000
#define INADDR_LOOPBACK	0x7f000001

struct sockaddr_in {
	u16 sin_family;		/* 0 */
	u16 sin_port;		/* 2: big-endian */
	u32 sin_addr;		/* 4: big-endian */
	u8 sin_zero[8];		/* 8 */
};

struct bpf_prog;
struct sock_fprog;
struct sk_filter {
	struct bpf_prog *prog;
};

struct sock {
	refcount_t sk_refcnt;
	u32 inet_saddr;			/* big-endian */
	u16 inet_num;			/* the port; 0: not bound */
	bool filter_locked;		/* SO_LOCK_FILTER */
	atomic_t sk_rmem_alloc;		/* bytes of packets that wait */
	unsigned int sk_drops;
	struct sk_filter *sk_filter;
	struct sk_buff_head sk_receive_queue;
	wait_queue_head_t sk_wq;
	struct list_head sk_node;
};
#define SK_RCVBUF	65536

void sock_put(struct sock *sk);

/* udp.c */
int udp_v4_get_port(struct sock *sk, u32 addr, u16 port);
void udp_lib_unhash(struct sock *sk);
ssize_t udp_sendmsg(struct sock *sk, const void __user *buf, size_t len, const struct sockaddr_in *to);
ssize_t udp_recvmsg(struct sock *sk, void __user *buf, size_t len, int flags, struct sockaddr_in *from);

/* sock_filter.c; they return 0 or -errno. */
int sk_filter_trim_cap(struct sock *sk, struct sk_buff *skb, unsigned int cap);
int sk_attach_filter(const struct sock_fprog *fprog, struct sock *sk);
int sk_attach_bpf(u32 ufd, struct sock *sk);
int sk_detach_filter(struct sock *sk);
int sk_get_filter(struct sock *sk, void __user *optval, unsigned int len);
void sk_filter_uncharge(struct sock *sk);
/* Tells the host what a filter said of a packet, and at what length it may be cut off at most. */
void sk_filter_report(const struct sk_buff *skb, unsigned long pkt_len, unsigned long cap);

#endif
