/* bpf_stubs.S: what the host plays of bpf(2): maps, the verifier, names under /sys/fs/bpf. Each stub is one hypercall. */
#include "hypercall_stub.h"

	.text

	HYPERCALL_STUB find_and_alloc_map	HC_BPF_FIND_AND_ALLOC_MAP
	HYPERCALL_STUB bpf_map_by_id		HC_BPF_MAP_BY_ID
	HYPERCALL_STUB bpf_map_free		HC_BPF_MAP_FREE
	HYPERCALL_STUB bpf_map_value_size	HC_BPF_MAP_VALUE_SIZE
	HYPERCALL_STUB bpf_map_copy_value	HC_BPF_MAP_COPY_VALUE
	HYPERCALL_STUB bpf_map_update_value	HC_BPF_MAP_UPDATE_VALUE
	HYPERCALL_STUB bpf_map_delete_value	HC_BPF_MAP_DELETE_VALUE
	HYPERCALL_STUB bpf_map_next_key		HC_BPF_MAP_NEXT_KEY
	HYPERCALL_STUB bpf_map_take_value	HC_BPF_MAP_TAKE_VALUE
	HYPERCALL_STUB bpf_map_freeze		HC_BPF_MAP_FREEZE
	HYPERCALL_STUB bpf_check		HC_BPF_CHECK
	HYPERCALL_STUB bpf_vlog_copy		HC_BPF_VLOG_COPY
	HYPERCALL_STUB bpf_prog_fill		HC_BPF_PROG_FILL
	HYPERCALL_STUB bpf_prog_free_id		HC_BPF_PROG_FREE_ID
	HYPERCALL_STUB bpf_obj_next_id		HC_BPF_OBJ_NEXT_ID
	HYPERCALL_STUB bpf_obj_do_pin		HC_BPF_OBJ_DO_PIN
	HYPERCALL_STUB bpf_obj_at		HC_BPF_OBJ_AT

	.section .note.GNU-stack, "", @progbits
