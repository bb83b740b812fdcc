/* segment.h: selectors. The order in the GDT is what syscall and sysretq expect: kernel code, kernel data; user data, user code. */
#ifndef _SEGMENT_H
#define _SEGMENT_H

#define GDT_ENTRY_KERNEL_CS	2
#define GDT_ENTRY_KERNEL_DS	3
#define GDT_ENTRY_USER_DS	5
#define GDT_ENTRY_USER_CS	6
#define GDT_ENTRY_TSS		8	/* two entries: its base has 64 bits */
#define GDT_ENTRIES		16

#define __KERNEL_CS		0x10
#define __KERNEL_DS		0x18
#define __USER32_CS		0x23	/* sysretq takes CS = this + 16, SS = this + 8 */
#define __USER_DS		0x2b
#define __USER_CS		0x33
#define TSS_SELECTOR		0x40

#define MSR_EFER		0xc0000080
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_SYSCALL_MASK	0xc0000084
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define EFER_SCE		1

#define DOUBLE_FAULT_IST	1

/* Vectors that the board fixes, and our own. */
#define SERIAL_VECTOR		0x34
#define LOCAL_TIMER_VECTOR	0xec
#define IRQ_WORK_VECTOR		0xf6
#define RESCHEDULE_VECTOR	0xfd

#endif
