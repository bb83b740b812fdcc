/* slab.h: kernel memory in bytes (slab.c). Nothing here sleeps; of Linux's gfp flags only __GFP_ZERO does anything. */
#ifndef _SLAB_H
#define _SLAB_H

#include "types.h"

#define GFP_KERNEL	0xcc0u
#define GFP_ATOMIC	0xa20u
#define GFP_USER	0x100cc0u
#define __GFP_ZERO	0x100u
#define NUMA_NO_NODE	(-1)

struct kmem_cache;

void *__kmalloc(size_t size, gfp_t flags);
void kfree(const void *objp);
struct kmem_cache *kmem_cache_create(const char *name, unsigned int size);
void *kmem_cache_alloc(struct kmem_cache *s, gfp_t flags);
void kmem_cache_free(struct kmem_cache *s, void *objp);
void kmem_cache_init(void);
char *kstrdup(const char *s, gfp_t flags);

static inline void *kmalloc(size_t size, gfp_t flags) { return __kmalloc(size, flags); }
static inline void *kzalloc(size_t size, gfp_t flags) { return __kmalloc(size, flags | __GFP_ZERO); }
static inline void *kcalloc(size_t n, size_t size, gfp_t flags) { return kzalloc(n * size, flags); }
static inline void *kmem_cache_zalloc(struct kmem_cache *s, gfp_t flags)
{
	return kmem_cache_alloc(s, flags | __GFP_ZERO);
}

#endif
