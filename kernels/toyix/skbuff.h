/*
 * skbuff.h: packets. What there is of struct sk_buff lies where Linux 6.1 on x86-64 has it: filters that were converted
 * from classic BPF read these fields themselves, so the offsets are part of their code.
 */
#ifndef _SKBUFF_H
#define _SKBUFF_H

#include "list.h"
#include "spinlock.h"
#include "types.h"

struct sock;

#define ETH_HLEN	14
#define ETH_P_IP	0x0800
#define ARPHRD_LOOPBACK	772

struct net_device {
	char name[16];			/*   0 */
	u8 __unused1[200];
	int ifindex;			/* 216 */
	u8 __unused2[76];
	unsigned short type;		/* 296: ARPHRD_ */
	u8 __unused3[22];
};

struct sk_buff {
	struct sk_buff *next, *prev;	/*   0 */
	struct net_device *dev;		/*  16: where it came in */
	struct sock *sk;		/*  24 */
	u64 tstamp;			/*  32 */
	u8 cb[48];			/*  40: for the layer that has the packet, and for a filter's program */
	u8 __unused1[24];
	unsigned int len;		/* 112: bytes from data on */
	unsigned int data_len;		/* 116: how many of them are in pages: none here */
	u16 mac_len;			/* 120 */
	u16 hdr_len;			/* 122 */
	u16 queue_mapping;		/* 124 */
	u16 __unused2;
	u8 pkt_type;			/* 128: three bits; 0: for us */
	u8 __unused3[5];		/* 130: bit 0, a VLAN tag was taken off */
	u16 tc_index;			/* 134 */
	u32 csum;			/* 136 */
	u32 priority;			/* 140 */
	int skb_iif;			/* 144: number of the device it came in by */
	u32 hash;			/* 148 */
	u16 vlan_proto;			/* 152 */
	u16 vlan_tci;			/* 154 */
	u32 napi_id;			/* 156 */
	u8 __unused4[8];
	u32 mark;			/* 168 */
	u8 __unused5[8];
	u16 protocol;			/* 180: big-endian */
	u16 transport_header;		/* 182: these three count from head */
	u16 network_header;		/* 184 */
	u16 mac_header;			/* 186 */
	u32 tail;			/* 188: from head */
	u32 end;			/* 192: from head; skb_shared_info is there */
	u32 __unused6;
	unsigned char *head;		/* 200: what was allocated */
	unsigned char *data;		/* 208: where the layer that has it now begins */
	u8 __unused7[16];
};

#define QDISC_CB_DATA	8	/* cb: where what programs know as cb[] is */
#define BPF_SKB_CB_LEN	20

/* Behind the bytes; it would name the pages that hold the rest of a large packet. */
struct skb_shared_info {
	u8 flags, meta_len, nr_frags, tx_flags;
	u8 __unused[316];
};

struct sk_buff_head {
	struct sk_buff *next, *prev;
	u32 qlen;
	spinlock_t lock;
};

static inline u16 htons(u16 x) { return __builtin_bswap16(x); }
static inline u16 ntohs(u16 x) { return __builtin_bswap16(x); }
static inline u32 htonl(u32 x) { return __builtin_bswap32(x); }
static inline u32 ntohl(u32 x) { return __builtin_bswap32(x); }

struct sk_buff *alloc_skb(unsigned int size);
void kfree_skb(struct sk_buff *skb);
void skb_reserve(struct sk_buff *skb, unsigned int len);
void *skb_put(struct sk_buff *skb, unsigned int len);
void *skb_push(struct sk_buff *skb, unsigned int len);
void *skb_pull(struct sk_buff *skb, unsigned int len);
void pskb_trim(struct sk_buff *skb, unsigned int len);
void skb_queue_head_init(struct sk_buff_head *list);
void skb_queue_tail(struct sk_buff_head *list, struct sk_buff *skb);
struct sk_buff *skb_dequeue(struct sk_buff_head *list);

#endif
