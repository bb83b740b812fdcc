/* Every kind of CO-RE question, against kernel_types.c. Answers go into .bss. */
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define CORE __attribute__((preserve_access_index))

struct moved {
	int first;
	short deep;
	unsigned int widened;
	unsigned int middle : 9;
	int negative : 5;
	char letters[4];
	void *pointer;
	int tail[];
} CORE;

struct moved___flavour {
	int first;
	int gone;
} CORE;

struct moved___signed {
	int signed_widened;
} CORE;

struct moved___wrong {
	struct {
		int x;
	} first;
} CORE;

enum colour {
	BLUE,
	GREEN,
	PURPLE,
};

struct same {
	char y[4];
	int x;
} CORE;

struct same___other {
	long x;
} CORE;

typedef struct {
	int inside;
	int missing;
} CORE anonymous_t;

struct nowhere {
	int x;
} CORE;

struct answers {
	__u32 first, deep, widened_offset, widened_size, letters, fourth_letter, tail, pointer;
	__u32 middle_offset, middle_size, middle_signed, middle_left, middle_right, negative_signed;
	__u32 has_first, has_gone, has_wrong_kind;
	__u32 size, exists, nowhere, local_id, kernel_id;
	__u32 has_blue, has_purple, inside;
	__u64 blue, green;
} answers;

/* The same access in a load: its size and offset follow the kernel's field. */
static __noinline __u64 load(struct moved *p)
{
	return p->widened;
}

SEC("raw_tp")
int ask(void *ctx)
{
	struct moved *p = 0;
	struct moved___flavour *other = 0;
	anonymous_t *anonymous = 0;
	struct moved___wrong *wrong = 0;
	struct answers *a = &answers;

	a->first = bpf_core_field_offset(p->first);
	a->deep = bpf_core_field_offset(p->deep);
	a->widened_offset = bpf_core_field_offset(p->widened);
	a->widened_size = bpf_core_field_size(p->widened);
	a->letters = bpf_core_field_size(p->letters);
	a->fourth_letter = bpf_core_field_offset(p->letters[3]);
	a->tail = bpf_core_field_offset(p->tail[5]);
	a->pointer = bpf_core_field_offset(p->pointer);
	a->middle_offset = __builtin_preserve_field_info(p->middle, BPF_FIELD_BYTE_OFFSET);
	a->middle_size = __builtin_preserve_field_info(p->middle, BPF_FIELD_BYTE_SIZE);
	a->middle_signed = __builtin_preserve_field_info(p->middle, BPF_FIELD_SIGNED);
	a->middle_left = __builtin_preserve_field_info(p->middle, BPF_FIELD_LSHIFT_U64);
	a->middle_right = __builtin_preserve_field_info(p->middle, BPF_FIELD_RSHIFT_U64);
	a->negative_signed = __builtin_preserve_field_info(p->negative, BPF_FIELD_SIGNED);
	a->has_first = bpf_core_field_exists(other->first);
	a->has_gone = bpf_core_field_exists(other->gone);
	a->has_wrong_kind = bpf_core_field_exists(wrong->first);
	a->inside = bpf_core_field_exists(anonymous->inside) | bpf_core_field_exists(anonymous->missing) << 1;
	a->size = bpf_core_type_size(struct moved);
	a->exists = bpf_core_type_exists(struct moved___flavour);
	a->nowhere = bpf_core_type_exists(struct nowhere);
	a->local_id = bpf_core_type_id_local(struct moved);
	a->kernel_id = bpf_core_type_id_kernel(struct moved);
	a->has_blue = bpf_core_enum_value_exists(enum colour, BLUE);
	a->has_purple = bpf_core_enum_value_exists(enum colour, PURPLE);
	a->blue = bpf_core_enum_value(enum colour, BLUE);
	a->green = bpf_core_enum_value(enum colour, GREEN);
	return 0;
}

SEC("?raw_tp")
int loads(struct moved *ctx)
{
	return load(ctx);
}

/* A signed field that is wider in the kernel: a load of either size would be wrong. */
SEC("?raw_tp")
int loads_signed(struct moved___signed *ctx)
{
	return ctx->signed_widened;
}

char _license[] SEC("license") = "GPL";
