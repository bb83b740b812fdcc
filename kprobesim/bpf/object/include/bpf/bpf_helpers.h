/*
 * What a BPF program in C needs to be loaded: how it says where it belongs, declares maps and calls helpers.
 * Names are those of libbpf's header of this name, so that a program compiles with either.
 */
#ifndef __BPF_HELPERS_H__
#define __BPF_HELPERS_H__

#include "bpf_helper_defs.h"

/* The section tells the loader the program's type and target: SEC("kprobe/vfs_read"). */
#define SEC(name) __attribute__((section(name), used))

#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#define __weak __attribute__((weak))
#define __hidden __attribute__((visibility("hidden")))
#define __ksym __attribute__((section(".ksyms")))
#define __kconfig __attribute__((section(".kconfig")))

/* A map is a struct whose member types hold its numbers; nothing of it is left at run time. */
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]

enum libbpf_pin_type {
	LIBBPF_PIN_NONE,
	LIBBPF_PIN_BY_NAME,
};

#ifndef NULL
#define NULL ((void *)0)
#endif
#ifndef offsetof
#define offsetof(type, member) ((unsigned long)&((type *)0)->member)
#endif

#define barrier() asm volatile("" ::: "memory")
#define barrier_var(var) asm volatile("" : "+r"(var))

/* The text must be in the program's memory: a static array puts it into .rodata. At most three values. */
#define bpf_printk(fmt, args...)                                      \
	({                                                            \
		static const char ____fmt[] = fmt;                    \
		bpf_trace_printk(____fmt, sizeof(____fmt), ##args);   \
	})

#endif
