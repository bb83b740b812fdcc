/*
 * Reading kernel structs whatever their layout in the kernel that the program meets ("compile once, run everywhere").
 * Names are those of libbpf's header of this name. The numbers are enum bpf_core_relo_kind's, as the compiler takes them.
 */
#ifndef __BPF_CORE_READ_H__
#define __BPF_CORE_READ_H__

enum bpf_field_info_kind {
	BPF_FIELD_BYTE_OFFSET = 0,
	BPF_FIELD_BYTE_SIZE = 1,
	BPF_FIELD_EXISTS = 2,
	BPF_FIELD_SIGNED = 3,
	BPF_FIELD_LSHIFT_U64 = 4,
	BPF_FIELD_RSHIFT_U64 = 5,
};

enum bpf_type_id_kind {
	BPF_TYPE_ID_LOCAL = 0,
	BPF_TYPE_ID_TARGET = 1,
};

enum bpf_type_info_kind {
	BPF_TYPE_EXISTS = 0,
	BPF_TYPE_SIZE = 1,
	BPF_TYPE_MATCHES = 2,
};

enum bpf_enum_value_kind {
	BPF_ENUMVAL_EXISTS = 0,
	BPF_ENUMVAL_VALUE = 1,
};

#define bpf_core_field_exists(field) __builtin_preserve_field_info(field, BPF_FIELD_EXISTS)
#define bpf_core_field_size(field) __builtin_preserve_field_info(field, BPF_FIELD_BYTE_SIZE)
#define bpf_core_field_offset(field) __builtin_preserve_field_info(field, BPF_FIELD_BYTE_OFFSET)

#define bpf_core_type_id_local(type) __builtin_btf_type_id(*(typeof(type) *)0, BPF_TYPE_ID_LOCAL)
#define bpf_core_type_id_kernel(type) __builtin_btf_type_id(*(typeof(type) *)0, BPF_TYPE_ID_TARGET)
#define bpf_core_type_exists(type) __builtin_preserve_type_info(*(typeof(type) *)0, BPF_TYPE_EXISTS)
#define bpf_core_type_size(type) __builtin_preserve_type_info(*(typeof(type) *)0, BPF_TYPE_SIZE)
#define bpf_core_type_matches(type) __builtin_preserve_type_info(*(typeof(type) *)0, BPF_TYPE_MATCHES)

#define bpf_core_enum_value_exists(type, value) \
	__builtin_preserve_enum_value(*(typeof(type) *)value, BPF_ENUMVAL_EXISTS)
#define bpf_core_enum_value(type, value) __builtin_preserve_enum_value(*(typeof(type) *)value, BPF_ENUMVAL_VALUE)

#define bpf_core_read(dst, size, src) \
	bpf_probe_read_kernel(dst, size, (const void *)__builtin_preserve_access_index(src))
#define bpf_core_read_str(dst, size, src) \
	bpf_probe_read_kernel_str(dst, size, (const void *)__builtin_preserve_access_index(src))

/* A bit field: load the word around it, then shift out what is to its left and to its right. */
#define BPF_CORE_READ_BITFIELD_PROBED(s, field)                                                         \
	({                                                                                              \
		unsigned long long ____val = 0;                                                         \
		bpf_probe_read_kernel(&____val, __builtin_preserve_field_info((s)->field, BPF_FIELD_BYTE_SIZE), \
			(const char *)(s) + __builtin_preserve_field_info((s)->field, BPF_FIELD_BYTE_OFFSET)); \
		____val <<= __builtin_preserve_field_info((s)->field, BPF_FIELD_LSHIFT_U64);            \
		if (__builtin_preserve_field_info((s)->field, BPF_FIELD_SIGNED))                        \
			____val = (long long)____val >> __builtin_preserve_field_info((s)->field, BPF_FIELD_RSHIFT_U64); \
		else                                                                                    \
			____val >>= __builtin_preserve_field_info((s)->field, BPF_FIELD_RSHIFT_U64);    \
		____val;                                                                                \
	})

/* BPF_CORE_READ(task, mm, start_code) is task->mm->start_code, each arrow a safe read of kernel memory. */
#define __core_step(type, from, field)                                                     \
	({                                                                                 \
		type ____from = (type)(from);                                              \
		typeof(____from->field) ____to;                                            \
		bpf_core_read(&____to, sizeof(____to), &____from->field);                  \
		____to;                                                                    \
	})
#define __core_read1(s, a) __core_step(typeof(s), s, a)
#define __core_read2(s, a, b) __core_step(typeof((s)->a), __core_read1(s, a), b)
#define __core_read3(s, a, b, c) __core_step(typeof((s)->a->b), __core_read2(s, a, b), c)
#define __core_read4(s, a, b, c, d) __core_step(typeof((s)->a->b->c), __core_read3(s, a, b, c), d)
#define __core_count(_, _1, _2, _3, _4, n, ...) n
#define __core_paste(a, b) a##b
#define __core_apply(name, count) __core_paste(name, count)
#define BPF_CORE_READ(s, path...) \
	__core_apply(__core_read, __core_count(_, ##path, 4, 3, 2, 1, 0))(s, ##path)

#endif
