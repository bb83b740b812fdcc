/* atomic.h: counters that several CPUs change, and reference counts. */
#ifndef _ATOMIC_H
#define _ATOMIC_H

#include "types.h"
#include "compiler.h"

#define ATOMIC_INIT(i)	{ (i) }

static __always_inline int atomic_read(const atomic_t *v) { return READ_ONCE(v->counter); }
static __always_inline void atomic_set(atomic_t *v, int i) { WRITE_ONCE(v->counter, i); }
static __always_inline void atomic_inc(atomic_t *v) { __sync_fetch_and_add(&v->counter, 1); }
static __always_inline void atomic_dec(atomic_t *v) { __sync_fetch_and_sub(&v->counter, 1); }
static __always_inline int atomic_inc_return(atomic_t *v) { return __sync_add_and_fetch(&v->counter, 1); }
static __always_inline bool atomic_dec_and_test(atomic_t *v) { return !__sync_sub_and_fetch(&v->counter, 1); }

typedef struct { atomic_t refs; } refcount_t;
#define REFCOUNT_INIT(n)	{ ATOMIC_INIT(n) }
#define refcount_set(r, n)	atomic_set(&(r)->refs, n)
#define refcount_read(r)	atomic_read(&(r)->refs)
#define refcount_inc(r)		atomic_inc(&(r)->refs)
#define refcount_dec_and_test(r) atomic_dec_and_test(&(r)->refs)

#endif
