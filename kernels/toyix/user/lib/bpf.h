/* bpf.h: bpf(2) as <linux/bpf.h> has it, and eBPF instructions one by one. */
#pragma once

#include "libc.h"

#define BPF_MAP_CREATE		0
#define BPF_MAP_LOOKUP_ELEM	1
#define BPF_MAP_UPDATE_ELEM	2
#define BPF_MAP_DELETE_ELEM	3
#define BPF_MAP_GET_NEXT_KEY	4
#define BPF_PROG_LOAD		5
#define BPF_OBJ_PIN		6
#define BPF_OBJ_GET		7
#define BPF_PROG_GET_NEXT_ID	11
#define BPF_MAP_GET_NEXT_ID	12
#define BPF_PROG_GET_FD_BY_ID	13
#define BPF_MAP_GET_FD_BY_ID	14
#define BPF_OBJ_GET_INFO_BY_FD	15
#define BPF_MAP_LOOKUP_AND_DELETE_ELEM 21
#define BPF_MAP_FREEZE		22

#define BPF_MAP_TYPE_HASH	1
#define BPF_MAP_TYPE_ARRAY	2
#define BPF_MAP_TYPE_PROG_ARRAY	3
#define BPF_MAP_TYPE_ARRAY_OF_MAPS 12
#define BPF_MAP_TYPE_QUEUE	22
#define BPF_PROG_TYPE_SOCKET_FILTER 1
#define BPF_PROG_TYPE_KPROBE	2
#define BPF_ANY			0
#define BPF_NOEXIST		1
#define BPF_EXIST		2
#define BPF_F_RDONLY		8

/* As long as in Linux 6.1; a program may pass less of it, and more if that is 0. */
union bpf_attr {
	struct {
		uint32_t map_type, key_size, value_size, max_entries, map_flags, inner_map_fd, numa_node;
		char map_name[16];
	};
	struct {
		uint32_t map_fd;
		uint64_t key, value, flags;
	};
	struct {
		uint32_t prog_type, insn_cnt;
		uint64_t insns, license;
		uint32_t log_level, log_size;
		uint64_t log_buf;
		uint32_t kern_version, prog_flags;
		char prog_name[16];
	};
	struct {
		uint64_t pathname;
		uint32_t bpf_fd, file_flags;
	};
	struct {
		uint32_t start_id, next_id, open_flags;	/* start_id: or the id of what is wanted */
	};
	struct {
		uint32_t info_fd, info_len;
		uint64_t info;
	};
	uint64_t size[18];
};
long bpf(int cmd, union bpf_attr *attr, unsigned int size);

struct bpf_insn {
	uint8_t code;
	uint8_t dst_reg : 4, src_reg : 4;
	int16_t off;
	int32_t imm;
};
#define INSN(code, dst, src, off, imm)	{ code, dst, src, off, imm }
#define MOV64_REG(dst, src)		INSN(0xbf, dst, src, 0, 0)
#define MOV64_IMM(dst, imm)		INSN(0xb7, dst, 0, 0, imm)
#define ADD64_IMM(dst, imm)		INSN(0x07, dst, 0, 0, imm)
#define LD_ABS_B(imm)			INSN(0x30, 0, 0, 0, imm)		/* r0 = the packet's byte; r6: the context */
#define LDX_W(dst, src, off)		INSN(0x61, dst, src, off, 0)
#define ST_W(dst, off, imm)		INSN(0x62, dst, 0, off, imm)
#define STX_W(dst, src, off)		INSN(0x63, dst, src, off, 0)
#define ATOMIC_ADD64(dst, src, off)	INSN(0xdb, dst, src, off, 0)
#define JEQ_IMM(dst, imm, off)		INSN(0x15, dst, 0, off, imm)
#define JNE_IMM(dst, imm, off)		INSN(0x55, dst, 0, off, imm)
#define LD_MAP_FD(dst, fd)		INSN(0x18, dst, 1, 0, fd), INSN(0, 0, 0, 0, 0)
#define CALL(helper)			INSN(0x85, 0, 0, 0, helper)
#define EXIT()				INSN(0x95, 0, 0, 0, 0)
#define HELPER_MAP_LOOKUP_ELEM		1
#define HELPER_TAIL_CALL		12
#define HELPER_SKB_LOAD_BYTES		26
