/*
 * slab.c: objects smaller than a page. A slab is one page cut into objects of one size; the free ones are chained through
 * their own first word. struct page says which cache a page belongs to, so kfree() needs only the address.
 */
#include "mm.h"
#include "printk.h"
#include "string.h"
#include "trace.h"

struct kmem_cache {
	const char *name;
	unsigned int size;
	spinlock_t lock;
	struct list_head partial;	/* slabs with a free object */
};

#define KMALLOC_MIN_SHIFT	4
#define KMALLOC_MAX_SHIFT	11
static struct kmem_cache kmalloc_caches[KMALLOC_MAX_SHIFT + 1];
static const char *const kmalloc_names[] = {
	[4] = "kmalloc-16", "kmalloc-32", "kmalloc-64", "kmalloc-128", "kmalloc-256", "kmalloc-512", "kmalloc-1k", "kmalloc-2k",
};

static void cache_init(struct kmem_cache *s, const char *name, unsigned int size)
{
	s->name = name;
	s->size = ALIGN(max(size, (unsigned int)sizeof(void *)), 16);
	spin_lock_init(&s->lock);
	INIT_LIST_HEAD(&s->partial);
}

void __init kmem_cache_init(void)
{
	for (int i = KMALLOC_MIN_SHIFT; i <= KMALLOC_MAX_SHIFT; i++)
		cache_init(&kmalloc_caches[i], kmalloc_names[i], 1u << i);
}

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size)
{
	struct kmem_cache *s = kmalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		panic("kmem_cache_create(%s): out of memory", name);
	BUG_ON(size > PAGE_SIZE / 2);
	cache_init(s, name, size);
	return s;
}

static struct page *new_slab(struct kmem_cache *s, gfp_t flags)
{
	struct page *page = alloc_page(flags & ~__GFP_ZERO);
	char *base;

	if (!page)
		return NULL;
	base = page_address(page);
	page->slab_cache = s;
	page->inuse = 0;
	page->freelist = NULL;
	/* Backwards, so that objects are handed out in rising order. */
	for (int i = PAGE_SIZE / s->size - 1; i >= 0; i--) {
		*(void **)(base + i * s->size) = page->freelist;
		page->freelist = base + i * s->size;
	}
	list_add(&page->lru, &s->partial);
	return page;
}

void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp)
{
	unsigned long flags;
	struct page *page;
	void *object = NULL;

	spin_lock_irqsave(&s->lock, flags);
	page = list_first_entry_or_null(&s->partial, struct page, lru);
	if (!page)
		page = new_slab(s, gfp);
	if (page) {
		object = page->freelist;
		page->freelist = *(void **)object;
		page->inuse++;
		if (!page->freelist)
			list_del(&page->lru);
	}
	spin_unlock_irqrestore(&s->lock, flags);
	if (object && (gfp & __GFP_ZERO))
		memset(object, 0, s->size);
	return object;
}

void kmem_cache_free(struct kmem_cache *s, void *objp)
{
	struct page *page = virt_to_page(objp);
	unsigned long flags;

	BUG_ON(page->slab_cache != s);
	spin_lock_irqsave(&s->lock, flags);
	if (!page->freelist)
		list_add(&page->lru, &s->partial);
	*(void **)objp = page->freelist;
	page->freelist = objp;
	if (!--page->inuse) {
		list_del(&page->lru);
		page->slab_cache = NULL;
		__free_page(page);
	}
	spin_unlock_irqrestore(&s->lock, flags);
}

static unsigned int get_order(size_t size)
{
	unsigned int order = 0;

	while (PAGE_SIZE << order < size)
		order++;
	return order;
}

static size_t large_size(size_t size) { return PAGE_SIZE << get_order(size); }

static void *kmalloc_large(size_t size, gfp_t flags)
{
	return (void *)__get_free_pages(flags, get_order(size));
}

static struct kmem_cache *kmalloc_slab(size_t size)
{
	for (int i = KMALLOC_MIN_SHIFT; i <= KMALLOC_MAX_SHIFT; i++)
		if (size <= 1UL << i)
			return &kmalloc_caches[i];
	return NULL;
}

void *__kmalloc(size_t size, gfp_t flags)
{
	struct kmem_cache *s = kmalloc_slab(size);
	void *ret = s ? kmem_cache_alloc(s, flags) : kmalloc_large(size, flags);

	trace_kmalloc((unsigned long)__builtin_return_address(0), ret, size, s ? s->size : large_size(size), flags,
		      NUMA_NO_NODE);
	return ret;
}

void kfree(const void *objp)
{
	struct page *page;

	trace_kfree((unsigned long)__builtin_return_address(0), objp);
	if (!objp)
		return;
	page = virt_to_page(objp);
	if (page->slab_cache)
		kmem_cache_free(page->slab_cache, (void *)objp);
	else
		__free_pages(page, page->order);
}

char *kstrdup(const char *s, gfp_t flags)
{
	size_t len = strlen(s) + 1;
	char *buf = kmalloc(len, flags);

	return buf ? memcpy(buf, s, len) : NULL;
}
