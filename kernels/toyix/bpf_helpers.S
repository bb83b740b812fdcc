/*
 * bpf_helpers.S: the functions that a BPF program may call, for code that the JIT has made: there a call is a call. The
 * host plays them; the number of the hypercall is the helper's own, above HC_FIRST_BPF_HELPER. Arguments are where both
 * C and the JIT have them: rdi, rsi, rdx, rcx, r8. A helper with a callback asks the stub to call it.
 */
#include "hypercall_stub.h"
#include "hypercalls.h"
#include "linkage.h"

.macro BPF_HELPER name id
	HYPERCALL_STUB bpf_\name HC_FIRST_BPF_HELPER+\id
.endm

	.text

	BPF_HELPER map_lookup_elem 1
	BPF_HELPER map_update_elem 2
	BPF_HELPER map_delete_elem 3
	BPF_HELPER probe_read 4
	BPF_HELPER ktime_get_ns 5
	BPF_HELPER trace_printk 6
	BPF_HELPER get_prandom_u32 7
	BPF_HELPER get_smp_processor_id 8
	BPF_HELPER get_current_pid_tgid 14
	BPF_HELPER get_current_uid_gid 15
	BPF_HELPER get_current_comm 16
	BPF_HELPER perf_event_read 22
	BPF_HELPER perf_event_output 25
	BPF_HELPER skb_load_bytes 26
	BPF_HELPER get_stackid 27
	BPF_HELPER get_current_task 35
	BPF_HELPER probe_write_user 36
	BPF_HELPER current_task_under_cgroup 37
	BPF_HELPER get_numa_node_id 42
	BPF_HELPER probe_read_str 45
	BPF_HELPER perf_event_read_value 55
	BPF_HELPER perf_prog_read_value 56
	BPF_HELPER override_return 58
	BPF_HELPER get_stack 67
	BPF_HELPER skb_load_bytes_relative 68
	BPF_HELPER get_current_cgroup_id 80
	BPF_HELPER map_push_elem 87
	BPF_HELPER map_pop_elem 88
	BPF_HELPER map_peek_elem 89
	BPF_HELPER spin_lock 93
	BPF_HELPER spin_unlock 94
	BPF_HELPER strtol 105
	BPF_HELPER strtoul 106
	BPF_HELPER send_signal 109
	BPF_HELPER skb_output 111
	BPF_HELPER probe_read_user 112
	BPF_HELPER probe_read_kernel 113
	BPF_HELPER probe_read_user_str 114
	BPF_HELPER probe_read_kernel_str 115
	BPF_HELPER send_signal_thread 117
	BPF_HELPER jiffies64 118
	BPF_HELPER read_branch_records 119
	BPF_HELPER get_ns_current_pid_tgid 120
	BPF_HELPER get_current_ancestor_cgroup_id 123
	BPF_HELPER ktime_get_boot_ns 125
	BPF_HELPER ringbuf_output 130
	BPF_HELPER ringbuf_reserve 131
	BPF_HELPER ringbuf_submit 132
	BPF_HELPER ringbuf_discard 133
	BPF_HELPER ringbuf_query 134
	BPF_HELPER get_task_stack 141
	BPF_HELPER d_path 147
	BPF_HELPER copy_from_user 148
	BPF_HELPER snprintf_btf 149
	BPF_HELPER per_cpu_ptr 153
	BPF_HELPER this_cpu_ptr 154
	BPF_HELPER task_storage_get 156
	BPF_HELPER task_storage_delete 157
	BPF_HELPER get_current_task_btf 158
	BPF_HELPER ktime_get_coarse_ns 160
	BPF_HELPER for_each_map_elem 164
	BPF_HELPER snprintf 165
	BPF_HELPER timer_init 169
	BPF_HELPER timer_set_callback 170
	BPF_HELPER timer_start 171
	BPF_HELPER timer_cancel 172
	BPF_HELPER get_func_ip 173
	BPF_HELPER get_attach_cookie 174
	BPF_HELPER task_pt_regs 175
	BPF_HELPER get_branch_snapshot 176
	BPF_HELPER trace_vprintk 177
	BPF_HELPER find_vma 180
	BPF_HELPER loop 181
	BPF_HELPER strncmp 182
	BPF_HELPER get_func_arg 183
	BPF_HELPER get_func_ret 184
	BPF_HELPER get_func_arg_cnt 185
	BPF_HELPER copy_from_user_task 191
	BPF_HELPER kptr_xchg 194
	BPF_HELPER map_lookup_percpu_elem 195
	BPF_HELPER dynptr_from_mem 197
	BPF_HELPER ringbuf_reserve_dynptr 198
	BPF_HELPER ringbuf_submit_dynptr 199
	BPF_HELPER ringbuf_discard_dynptr 200
	BPF_HELPER dynptr_read 201
	BPF_HELPER dynptr_write 202
	BPF_HELPER dynptr_data 203
	BPF_HELPER ktime_get_tai_ns 208
	BPF_HELPER user_ringbuf_drain 209

	/* No program can name these: converted filters call them. */
	BPF_HELPER skb_load_helper_8 240
	BPF_HELPER skb_load_helper_16 241
	BPF_HELPER skb_load_helper_32 242
	BPF_HELPER skb_get_pay_offset 243
	BPF_HELPER skb_get_nlattr 244
	BPF_HELPER skb_get_nlattr_nest 245
	BPF_HELPER get_raw_cpu_id 246
	BPF_HELPER user_rnd_u32 247
	BPF_HELPER skb_load_helper_8_no_cache 248
	BPF_HELPER skb_load_helper_16_no_cache 249
	BPF_HELPER skb_load_helper_32_no_cache 250

	.section .note.GNU-stack, "", @progbits
