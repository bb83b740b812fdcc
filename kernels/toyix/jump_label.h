/*
 * jump_label.h: branches that cost nothing while nobody wants them. The condition is in the code itself: a 5-byte nop, which
 * falls through, or a jmp to where the rare code lies. Each such place is noted in the section __jump_table, so that whoever
 * turns the key finds every place that asks it; turning it is the host's work, as all changing of code is.
 */
#ifndef _JUMP_LABEL_H
#define _JUMP_LABEL_H

#ifdef __ASSEMBLER__
#define STATIC_KEY_INIT_FALSE	.long 0, 0; .quad 0
#else
#include "atomic.h"
#include "compiler.h"
#include "types.h"

struct static_key {
	atomic_t enabled;		/*  0: how many want the branch taken; written by the host */
	unsigned long type;		/*  8: bit 0, what it was at boot */
};

/* One place in the code. All three are counted from their own address. */
struct jump_entry {
	s32 code;			/*  0: the nop or jmp */
	s32 target;			/*  4: where the jmp goes */
	long key;			/*  8: the static_key; bit 0: the branch is likely */
};

_Static_assert(sizeof(struct jump_entry) == 16, "the host reads the table");

extern struct jump_entry __start___jump_table[], __stop___jump_table[];

/* The nop that CPUs decode at once: nopl 0x0(%rax,%rax,1). */
#define BYTES_NOP5	"0x0f,0x1f,0x44,0x00,0x00"

static __always_inline bool arch_static_branch(struct static_key *const key, const bool branch)
{
	__asm__ goto("1: .byte " BYTES_NOP5 "\n\t"
		     ".pushsection __jump_table, \"aw\"\n\t"
		     ".balign 8\n\t"
		     ".long 1b - .\n\t"
		     ".long %l[l_yes] - .\n\t"
		     ".quad %c0 + %c1 - .\n\t"
		     ".popsection"
		     : : "i"(key), "i"(branch) : : l_yes);
	return false;
l_yes:
	return true;
}

#define static_key_false(key)	unlikely(arch_static_branch(key, false))
#endif

#endif
