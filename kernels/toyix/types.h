/* types.h: the fixed-size types and small value types that every file uses. */
#ifndef _TYPES_H
#define _TYPES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;

typedef u8 uint8_t;
typedef u16 uint16_t;
typedef u32 uint32_t;
typedef unsigned long uint64_t;
typedef long int64_t;
typedef unsigned long uintptr_t;

typedef long ssize_t;
typedef long long loff_t;
typedef unsigned short umode_t;
typedef int pid_t;
typedef unsigned int uid_t;
typedef unsigned int gid_t;
typedef unsigned int dev_t;
typedef unsigned long ino_t;
typedef unsigned int gfp_t;
typedef unsigned int fmode_t;
typedef unsigned long pgoff_t;
typedef unsigned long phys_addr_t;
typedef s64 ktime_t;
typedef int clockid_t;
typedef long off_t;
typedef s64 time64_t;

typedef struct { uid_t val; } kuid_t;
typedef struct { gid_t val; } kgid_t;
typedef struct { int counter; } atomic_t;
typedef struct { long counter; } atomic64_t;

struct list_head { struct list_head *next, *prev; };
struct hlist_node { struct hlist_node *next, **pprev; };
struct hlist_head { struct hlist_node *first; };
struct llist_node { struct llist_node *next; };
struct llist_head { struct llist_node *first; };

#endif
