/*
 * udp.c: a packet's way from a socket through the loopback device to another socket. In Linux a softirq takes it from the
 * device; here the sender's call goes all the way. (Linux: net/ipv4/udp.c, ip_input.c, ip_output.c; drivers/net/loopback.c.)
 */
#include "sock.h"
#include "cred.h"
#include "sched.h"
#include "slab.h"
#include "string.h"
#include "uaccess.h"

#define CAP_NET_BIND_SERVICE	10
#define FIRST_EPHEMERAL_PORT	32768
#define LAST_EPHEMERAL_PORT	60999
#define UDP_MAX_LEN		(65535 - 28)

struct iphdr {
	u8 version_ihl;		/*  0: 4, and 5 words */
	u8 tos;			/*  1 */
	u16 tot_len;		/*  2 */
	u16 id;			/*  4 */
	u16 frag_off;		/*  6 */
	u8 ttl;			/*  8 */
	u8 protocol;		/*  9 */
	u16 check;		/* 10 */
	u32 saddr;		/* 12 */
	u32 daddr;		/* 16 */
};

struct udphdr {
	u16 source;		/* 0 */
	u16 dest;		/* 2 */
	u16 len;		/* 4 */
	u16 check;		/* 6: 0, there is none */
};

static struct net_device loopback_dev = { .name = "lo", .ifindex = 1, .type = ARPHRD_LOOPBACK };
static LIST_HEAD(udp_table);
static DEFINE_SPINLOCK(udp_lock);

static struct sock *find_socket(u32 addr, u16 port)
{
	struct sock *sk;

	list_for_each_entry(sk, &udp_table, sk_node)
		if (sk->inet_num == port && (sk->inet_saddr == INADDR_ANY || addr == INADDR_ANY || sk->inet_saddr == addr))
			return sk;
	return NULL;
}

/* Takes a port, any free one for 0. */
int udp_v4_get_port(struct sock *sk, u32 addr, u16 port)
{
	int err = 0;

	if (addr != INADDR_ANY && (ntohl(addr) >> 24) != 127)
		return -EADDRNOTAVAIL;
	if (port && port < 1024 && !capable(CAP_NET_BIND_SERVICE))
		return -EACCES;
	spin_lock_irq(&udp_lock);
	if (!port)
		for (port = FIRST_EPHEMERAL_PORT; port < LAST_EPHEMERAL_PORT && find_socket(addr, port); )
			port++;
	if (find_socket(addr, port)) {
		err = -EADDRINUSE;
	} else {
		sk->inet_saddr = addr;
		sk->inet_num = port;
		list_add_tail(&sk->sk_node, &udp_table);
	}
	spin_unlock_irq(&udp_lock);
	return err;
}

void udp_lib_unhash(struct sock *sk)
{
	spin_lock_irq(&udp_lock);
	if (sk->inet_num)
		list_del(&sk->sk_node);
	spin_unlock_irq(&udp_lock);
}

static u16 ip_fast_csum(const void *iph)
{
	const u16 *word = iph;
	u32 sum = 0;

	for (int i = 0; i < 10; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(sum + (sum >> 16));
}

static noinline int udp_queue_rcv_one_skb(struct sock *sk, struct sk_buff *skb)
{
	if (sk_filter_trim_cap(sk, skb, sizeof(struct udphdr)))
		goto drop;
	if (sk->sk_rmem_alloc.counter + skb->end > SK_RCVBUF)
		goto drop;
	__sync_fetch_and_add(&sk->sk_rmem_alloc.counter, skb->end);
	skb_queue_tail(&sk->sk_receive_queue, skb);
	wake_up_interruptible(&sk->sk_wq);
	return 0;
drop:
	sk->sk_drops++;
	kfree_skb(skb);
	return -1;
}

static noinline int udp_rcv(struct sk_buff *skb)
{
	const struct iphdr *iph = (void *)(skb->head + skb->network_header);
	const struct udphdr *uh = (void *)skb->data;
	struct sock *sk;

	spin_lock_irq(&udp_lock);
	sk = find_socket(iph->daddr, ntohs(uh->dest));
	/* Its owner may close it meanwhile. */
	if (sk)
		refcount_inc(&sk->sk_refcnt);
	spin_unlock_irq(&udp_lock);
	/* Linux answers with an ICMP message, which a socket that is not connected does not get to see. */
	if (!sk) {
		kfree_skb(skb);
		return 0;
	}
	udp_queue_rcv_one_skb(sk, skb);
	sock_put(sk);
	return 0;
}

static noinline int ip_rcv(struct sk_buff *skb)
{
	skb->network_header = skb->data - skb->head;
	skb->transport_header = skb->network_header + sizeof(struct iphdr);
	skb_pull(skb, sizeof(struct iphdr));
	return udp_rcv(skb);
}

/* What goes out comes in. */
static noinline int loopback_xmit(struct sk_buff *skb, struct net_device *dev)
{
	skb->dev = dev;
	skb->skb_iif = dev->ifindex;
	skb->mac_header = skb->data - skb->head;
	skb->protocol = htons(ETH_P_IP);
	skb_pull(skb, ETH_HLEN);
	return ip_rcv(skb);
}

static noinline struct sk_buff *ip_make_skb(struct sock *sk, const void __user *buf, size_t len, u32 daddr, u16 dest)
{
	struct sk_buff *skb = alloc_skb(ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr) + len);
	u32 saddr = sk->inet_saddr ? sk->inet_saddr : htonl(INADDR_LOOPBACK);
	struct udphdr *uh;
	struct iphdr *iph;
	u8 *eth;

	if (!skb)
		return ERR_PTR(-ENOBUFS);
	skb_reserve(skb, ETH_HLEN + sizeof(*iph) + sizeof(*uh));
	if (copy_from_user(skb_put(skb, len), buf, len)) {
		kfree_skb(skb);
		return ERR_PTR(-EFAULT);
	}
	uh = skb_push(skb, sizeof(*uh));
	*uh = (struct udphdr){ htons(sk->inet_num), dest, htons(sizeof(*uh) + len), 0 };
	iph = skb_push(skb, sizeof(*iph));
	*iph = (struct iphdr){ .version_ihl = 0x45, .tot_len = htons(skb->len), .frag_off = htons(0x4000), .ttl = 64,
			       .protocol = IPPROTO_UDP, .saddr = saddr, .daddr = daddr };
	iph->check = ip_fast_csum(iph);
	/* The loopback device has the address of all zeros; what is in the frame is said by its last two bytes. */
	eth = skb_push(skb, ETH_HLEN);
	eth[12] = ETH_P_IP >> 8;
	return skb;
}

noinline ssize_t udp_sendmsg(struct sock *sk, const void __user *buf, size_t len, const struct sockaddr_in *to)
{
	u32 daddr = to->sin_addr ? to->sin_addr : htonl(INADDR_LOOPBACK);
	struct sk_buff *skb;

	if (len > UDP_MAX_LEN)
		return -EMSGSIZE;
	if (to->sin_family != AF_INET)
		return -EAFNOSUPPORT;
	if (!to->sin_port)
		return -EINVAL;
	if ((ntohl(daddr) >> 24) != 127)
		return -ENETUNREACH;
	if (!sk->inet_num) {
		int err = udp_v4_get_port(sk, INADDR_ANY, 0);

		if (err)
			return -EAGAIN;
	}
	skb = ip_make_skb(sk, buf, len, daddr, to->sin_port);
	if (IS_ERR(skb))
		return PTR_ERR(skb);
	loopback_xmit(skb, &loopback_dev);
	return len;
}

/* One packet a call; what does not fit is lost. */
noinline ssize_t udp_recvmsg(struct sock *sk, void __user *buf, size_t len, int flags, struct sockaddr_in *from)
{
	const struct udphdr *uh;
	struct sk_buff *skb = skb_dequeue(&sk->sk_receive_queue);
	size_t ulen, copied;
	ssize_t ret;

	if (!skb && (flags & MSG_DONTWAIT))
		return -EAGAIN;
	if (!skb && wait_event_interruptible(sk->sk_wq, (skb = skb_dequeue(&sk->sk_receive_queue)) != NULL))
		return -ERESTARTSYS;
	uh = (void *)skb->data;
	ulen = skb->len - sizeof(*uh);
	copied = min(ulen, len);
	ret = flags & MSG_TRUNC ? ulen : copied;
	if (copy_to_user(buf, skb->data + sizeof(*uh), copied))
		ret = -EFAULT;
	*from = (struct sockaddr_in){ AF_INET, uh->source, ((struct iphdr *)(skb->head + skb->network_header))->saddr };
	__sync_fetch_and_sub(&sk->sk_rmem_alloc.counter, skb->end);
	kfree_skb(skb);
	return ret;
}
