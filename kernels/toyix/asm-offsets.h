/* asm-offsets.h: what assembly knows of C structs. asm-offsets.c breaks the build where one is wrong. */
#ifndef _ASM_OFFSETS_H
#define _ASM_OFFSETS_H

#define PT_R15		0
#define PT_R14		8
#define PT_R13		16
#define PT_R12		24
#define PT_RBP		32
#define PT_RBX		40
#define PT_R11		48
#define PT_R10		56
#define PT_R9		64
#define PT_R8		72
#define PT_RAX		80
#define PT_RCX		88
#define PT_RDX		96
#define PT_RSI		104
#define PT_RDI		112
#define PT_ORIG_RAX	120
#define PT_RIP		128
#define PT_CS		136
#define PT_EFLAGS	144
#define PT_RSP		152
#define PT_SS		160

#define TASK_thread_sp	24
#define TSS_sp2		20

#endif
