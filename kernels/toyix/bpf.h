/*
 * bpf.h: bpf(2) and what its descriptors stand for. Maps and the verifier are the host's; a map's memory, and a program as
 * it runs, are the kernel's.
 */
#ifndef _BPF_H
#define _BPF_H

#include "filter.h"
#include "fs.h"

enum bpf_cmd {
	BPF_MAP_CREATE, BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM, BPF_MAP_GET_NEXT_KEY, BPF_PROG_LOAD,
	BPF_OBJ_PIN, BPF_OBJ_GET, BPF_PROG_GET_NEXT_ID = 11, BPF_MAP_GET_NEXT_ID, BPF_PROG_GET_FD_BY_ID, BPF_MAP_GET_FD_BY_ID,
	BPF_OBJ_GET_INFO_BY_FD, BPF_MAP_LOOKUP_AND_DELETE_ELEM = 21, BPF_MAP_FREEZE,
};

enum bpf_map_type {
	BPF_MAP_TYPE_PROG_ARRAY = 3, BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4, BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_HASH_OF_MAPS = 13, BPF_MAP_TYPE_QUEUE = 22, BPF_MAP_TYPE_STACK = 23, BPF_MAP_TYPE_BLOOM_FILTER = 30,
};

#define BPF_PROG_TYPE_SOCKET_FILTER	1
#define BPF_PROG_TYPE_CGROUP_SKB	8

#define BPF_OBJ_NAME_LEN	16
#define BPF_F_LOCK		4
#define BPF_F_RDONLY		(1U << 3)
#define BPF_F_WRONLY		(1U << 4)
#define BPF_OBJ_FLAG_MASK	(BPF_F_RDONLY | BPF_F_WRONLY)
#define BPF_F_STRICT_ALIGNMENT	(1U << 0)
#define BPF_F_ANY_ALIGNMENT	(1U << 1)
#define BPF_F_TEST_RND_HI32	(1U << 2)
#define BPF_F_TEST_STATE_FREQ	(1U << 3)
#define BPF_F_SLEEPABLE		(1U << 4)
#define BPF_F_XDP_HAS_FRAGS	(1U << 5)

/* Which of the nameless members counts depends on the command. */
union bpf_attr {
	struct {	/* BPF_MAP_CREATE */
		u32 map_type;			/*  0 */
		u32 key_size;
		u32 value_size;
		u32 max_entries;
		u32 map_flags;			/* 16 */
		u32 inner_map_fd;
		u32 numa_node;
		char map_name[BPF_OBJ_NAME_LEN];	/* 28 */
		u32 map_ifindex;
		u32 btf_fd;			/* 48 */
		u32 btf_key_type_id;
		u32 btf_value_type_id;
		u32 btf_vmlinux_value_type_id;
		u64 map_extra;			/* 64 */
	};
	struct {	/* BPF_MAP_*_ELEM, BPF_MAP_FREEZE */
		u32 map_fd;			/*  0 */
		u64 key;			/*  8 */
		union {
			u64 value;		/* 16 */
			u64 next_key;
		};
		u64 flags;			/* 24 */
	};
	struct {	/* BPF_PROG_LOAD */
		u32 prog_type;			/*  0 */
		u32 insn_cnt;
		u64 insns;			/*  8 */
		u64 license;
		u32 log_level;			/* 24 */
		u32 log_size;
		u64 log_buf;
		u32 kern_version;		/* 40 */
		u32 prog_flags;
		char prog_name[BPF_OBJ_NAME_LEN];	/* 48 */
		u32 prog_ifindex;		/* 64 */
		u32 expected_attach_type;
		u32 prog_btf_fd;
		u32 func_info_rec_size;
		u64 func_info;			/* 80 */
		u32 func_info_cnt;
		u32 line_info_rec_size;
		u64 line_info;			/* 96 */
		u32 line_info_cnt;
		u32 attach_btf_id;
		u32 attach_prog_fd;		/* 112 */
		u32 core_relo_cnt;
		u64 fd_array;			/* 120 */
		u64 core_relos;
		u32 core_relo_rec_size;		/* 136 */
	};
	struct {	/* BPF_OBJ_PIN, BPF_OBJ_GET */
		u64 pathname;			/*  0 */
		u32 bpf_fd;
		u32 file_flags;
	};
	struct {	/* BPF_*_GET_NEXT_ID, BPF_*_GET_FD_BY_ID */
		union {
			u32 start_id;		/*  0 */
			u32 prog_id;
			u32 map_id;
		};
		u32 next_id;
		u32 open_flags;
	};
	struct {	/* BPF_OBJ_GET_INFO_BY_FD */
		u32 bpf_fd;			/*  0 */
		u32 info_len;
		u64 info;
	} info;
} __attribute__((aligned(8)));

/* The head of a map, in the BPF area. The host fills it in when it makes the map. */
struct bpf_map {
	u64 __unused1[3];
	u32 map_type;		/*  24 */
	u32 key_size;		/*  28 */
	u32 value_size;		/*  32 */
	u32 max_entries;	/*  36 */
	u64 map_extra;		/*  40 */
	u32 map_flags;		/*  48 */
	u32 __unused2[4];
	u32 id;			/*  68 */
	u32 __unused3[8];
	char name[BPF_OBJ_NAME_LEN];	/* 104 */
	u64 __unused4;
	atomic_t refcnt;	/* 128: descriptors, and calls under way; programs and pins that keep it the host knows */
};

enum bpf_type { BPF_TYPE_UNSPEC, BPF_TYPE_PROG, BPF_TYPE_MAP };

/* A 64-bit load that names a map by a descriptor. */
struct bpf_map_ref {
	u32 slot;		/*  0 */
	s32 error;		/*  4: the descriptor stands for no map */
	struct bpf_map *map;	/*  8 */
};

struct bpf_check_args {
	const union bpf_attr *attr;	/*  0 */
	const struct bpf_insn *insns;	/*  8 */
	const char *license;		/* 16 */
	const struct bpf_map_ref *refs;	/* 24 */
	u64 nr_refs;			/* 32 */
};

int bpf_attr_check(const union bpf_attr *attr, size_t used);
#define offsetofend(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))
/* Whatever lies behind the last field that the command knows must be 0. */
#define CHECK_ATTR(attr, last) bpf_attr_check(attr, offsetofend(union bpf_attr, last))
int bpf_check_uarg_tail_zero(const char __user *uaddr, size_t expected_size, size_t actual_size);
int bpf_get_file_flag(u32 flags);
ssize_t bpf_dummy_read(struct file *filp, char __user *buf, size_t siz, loff_t *ppos);
ssize_t bpf_dummy_write(struct file *filp, const char __user *buf, size_t siz, loff_t *ppos);

/* bpf_map.c */
extern const struct file_operations bpf_map_fops;
struct bpf_map *bpf_map_get(u32 ufd);
void bpf_map_put(struct bpf_map *map);
int bpf_map_new_fd(struct bpf_map *map, int flags);
long map_create(const union bpf_attr *attr);
long map_lookup_elem(const union bpf_attr *attr);
long map_update_elem(const union bpf_attr *attr);
long map_delete_elem(const union bpf_attr *attr);
long map_get_next_key(const union bpf_attr *attr);
long map_lookup_and_delete_elem(const union bpf_attr *attr);
long map_freeze(const union bpf_attr *attr);
long bpf_map_get_info_by_fd(struct bpf_map *map, const union bpf_attr *attr, union bpf_attr __user *uattr);

/* bpf_prog.c */
extern const struct file_operations bpf_prog_fops;
struct bpf_prog *bpf_prog_get(u32 ufd);
struct bpf_prog *bpf_prog_by_id(u32 id);
int bpf_prog_new_fd(struct bpf_prog *prog);
long bpf_prog_load(const union bpf_attr *attr);
long bpf_prog_get_info_by_fd(struct bpf_prog *prog, const union bpf_attr *attr, union bpf_attr __user *uattr);

/* What the host plays (bpf_stubs.S); -errno where they fail. */
struct bpf_map *find_and_alloc_map(const union bpf_attr *attr, const struct bpf_map *inner);
struct bpf_map *bpf_map_by_id(u32 id);			/* with a reference */
long bpf_map_free(struct bpf_map *map);			/* nobody in the kernel holds it any more */
u32 bpf_map_value_size(const struct bpf_map *map);
long bpf_map_copy_value(struct bpf_map *map, void *key, void *value, u64 flags);
long bpf_map_update_value(struct bpf_map *map, void *key, void *value, u64 flags);
long bpf_map_delete_value(struct bpf_map *map, void *key);
long bpf_map_next_key(struct bpf_map *map, void *key, void *next_key);
long bpf_map_take_value(struct bpf_map *map, void *key, void *value, u64 flags);
long bpf_map_freeze(struct bpf_map *map);
long bpf_check(const struct bpf_check_args *args);	/* the program's id */
long bpf_vlog_copy(char *to, unsigned long from, unsigned long count);	/* bytes of the latest log */
long bpf_prog_fill(u32 id, struct bpf_prog *prog);	/* how many instructions it has; prog may be NULL */
long bpf_prog_free_id(u32 id);				/* the kernel has one struct bpf_prog of this id less */
long bpf_obj_next_id(enum bpf_type type, u32 id);
long bpf_obj_do_pin(unsigned long dir, const unsigned char *name, u64 obj);	/* BPF_OBJ() */
long bpf_obj_at(unsigned long node);			/* likewise */
#define BPF_OBJ(type, id)	((u64)(type) << 32 | (id))

#endif
