/* compiler.h: attributes and markers. Where code lies in the image decides who may probe it. */
#ifndef _COMPILER_H
#define _COMPILER_H

#define __section(s)	__attribute__((__section__(s)))
#define __aligned(n)	__attribute__((__aligned__(n)))
#define __packed	__attribute__((__packed__))
#define __used		__attribute__((__used__))
#define __noreturn	__attribute__((__noreturn__))
#define __printf(a, b)	__attribute__((__format__(printf, a, b)))
#define noinline	__attribute__((__noinline__))
#define __always_inline	inline __attribute__((__always_inline__))
#define fallthrough	__attribute__((__fallthrough__))

/* No 5-byte nop at the entry: ftrace cannot hook the function. */
#define notrace		__attribute__((__no_instrument_function__))

/*
 * noinstr: runs before the entry code has established kernel context, so neither ftrace nor kprobes may touch it.
 * __kprobes: part of the kprobe machinery; a probe there would recurse.
 */
#define noinstr		noinline notrace __section(".noinstr.text")
#define __kprobes	notrace __section(".kprobes.text")
#define __init		notrace __section(".init.text")

#define nokprobe_inline	static __always_inline
/* For a single function that must stay in .text: its address goes on the blacklist. */
#define NOKPROBE_SYMBOL(fname)							\
	static unsigned long __used __section("_kprobe_blacklist")		\
		_kbl_addr_##fname = (unsigned long)fname

/*
 * The function may be made to fail, by bpf_override_return: whoever calls it takes an error of this kind. As in Linux it
 * does nothing of its work then, so it must not be one that others rely on to have cleaned up.
 */
#define ALLOW_ERROR_INJECTION(fname, _etype)					\
	static struct error_injection_entry __used __section("_error_injection_whitelist") \
		_eil_addr_##fname = { (unsigned long)fname, EI_ETYPE_##_etype }

enum { EI_ETYPE_NONE, EI_ETYPE_NULL, EI_ETYPE_ERRNO, EI_ETYPE_ERRNO_NULL, EI_ETYPE_TRUE };

struct error_injection_entry {
	unsigned long addr;
	int etype;
};

#define __user

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)

#define barrier()	__asm__ __volatile__("" ::: "memory")
/* x86 keeps stores in order; only a store followed by a load of something else needs a fence. */
#define smp_mb()	__asm__ __volatile__("lock; addl $0,-4(%%rsp)" ::: "memory", "cc")
#define smp_rmb()	barrier()
#define smp_wmb()	barrier()
#define READ_ONCE(x)	(*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
#define smp_load_acquire(p)	({ typeof(*(p)) __v = READ_ONCE(*(p)); barrier(); __v; })
#define smp_store_release(p, v)	do { barrier(); WRITE_ONCE(*(p), v); } while (0)

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member)						\
	((type *)((char *)(ptr) - offsetof(type, member)))
#define min(a, b)	({ typeof(a) __a = (a); typeof(b) __b = (b); __a < __b ? __a : __b; })
#define max(a, b)	({ typeof(a) __a = (a); typeof(b) __b = (b); __a > __b ? __a : __b; })
#define min_t(t, a, b)	({ t __a = (a); t __b = (b); __a < __b ? __a : __b; })
#define max_t(t, a, b)	({ t __a = (a); t __b = (b); __a > __b ? __a : __b; })
#define ALIGN(x, a)	(((x) + ((typeof(x))(a) - 1)) & ~((typeof(x))(a) - 1))
#define ALIGN_DOWN(x, a) ((x) & ~((typeof(x))(a) - 1))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define BIT(n)		(1UL << (n))

#endif
