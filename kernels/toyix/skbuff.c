/* skbuff.c: packets: made, shifted from layer to layer without copying, queued, freed. (Linux: net/core/skbuff.c.) */
#include "skbuff.h"
#include "printk.h"
#include "slab.h"

_Static_assert(offsetof(struct net_device, ifindex) == 216 && offsetof(struct net_device, type) == 296, "");
_Static_assert(offsetof(struct sk_buff, len) == 112 && offsetof(struct sk_buff, hash) == 148, "");
_Static_assert(offsetof(struct sk_buff, mark) == 168 && offsetof(struct sk_buff, protocol) == 180, "");
_Static_assert(offsetof(struct sk_buff, data) == 208 && sizeof(struct sk_buff) == 232, "");

struct sk_buff *alloc_skb(unsigned int size)
{
	struct sk_buff *skb = kzalloc(sizeof(*skb), GFP_KERNEL);
	unsigned int end = (size + 7) & ~7u;

	if (!skb)
		return NULL;
	skb->head = skb->data = kzalloc(end + sizeof(struct skb_shared_info), GFP_KERNEL);
	if (!skb->head) {
		kfree(skb);
		return NULL;
	}
	skb->end = end;
	return skb;
}

noinline void kfree_skb(struct sk_buff *skb)
{
	kfree(skb->head);
	kfree(skb);
}

/* Room in front, for the headers of the layers below. */
void skb_reserve(struct sk_buff *skb, unsigned int len)
{
	skb->data += len;
	skb->tail += len;
}

/* More bytes behind; returns where they are. */
void *skb_put(struct sk_buff *skb, unsigned int len)
{
	unsigned char *tail = skb->head + skb->tail;

	skb->tail += len;
	skb->len += len;
	BUG_ON(skb->tail > skb->end);
	return tail;
}

/* A header in front. */
void *skb_push(struct sk_buff *skb, unsigned int len)
{
	skb->data -= len;
	skb->len += len;
	BUG_ON(skb->data < skb->head);
	return skb->data;
}

/* The header has been dealt with. It stays in front of data. */
void *skb_pull(struct sk_buff *skb, unsigned int len)
{
	skb->len -= len;
	return skb->data += len;
}

void pskb_trim(struct sk_buff *skb, unsigned int len)
{
	if (len >= skb->len)
		return;
	skb->tail -= skb->len - len;
	skb->len = len;
}

void skb_queue_head_init(struct sk_buff_head *list)
{
	list->next = list->prev = (struct sk_buff *)list;
	list->qlen = 0;
	spin_lock_init(&list->lock);
}

void skb_queue_tail(struct sk_buff_head *list, struct sk_buff *skb)
{
	spin_lock_irq(&list->lock);
	skb->next = (struct sk_buff *)list;
	skb->prev = list->prev;
	list->prev->next = skb;
	list->prev = skb;
	list->qlen++;
	spin_unlock_irq(&list->lock);
}

struct sk_buff *skb_dequeue(struct sk_buff_head *list)
{
	struct sk_buff *skb = NULL;

	spin_lock_irq(&list->lock);
	if (list->qlen) {
		skb = list->next;
		list->next = skb->next;
		skb->next->prev = (struct sk_buff *)list;
		list->qlen--;
	}
	spin_unlock_irq(&list->lock);
	return skb;
}
