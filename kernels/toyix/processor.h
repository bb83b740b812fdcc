/* processor.h: the CPU's own tables and registers, and who sets them up. */
#ifndef _PROCESSOR_H
#define _PROCESSOR_H

#include "compiler.h"
#include "percpu.h"
#include "ptrace.h"
#include "segment.h"

struct gdt_page {
	u64 gdt[GDT_ENTRIES];
};

/* Hardware format. 64-bit mode takes from it the stack for ring 0 and the stacks for gates with an IST number. */
struct tss_struct {
	u32 reserved0;
	u64 sp0;		/*  4: top of the current task's kernel stack */
	u64 sp1;		/* 12: unused by the CPU */
	u64 sp2;		/* 20: unused by the CPU; entry_SYSCALL_64 keeps the user's rsp here */
	u64 reserved1;
	u64 ist[7];		/* 36 */
	u64 reserved2;
	u16 reserved3;
	u16 io_bitmap_base;	/* 102 */
} __packed;

struct desc_ptr {
	u16 size;
	u64 address;
} __packed;

DECLARE_PER_CPU(struct gdt_page, gdt_page);
DECLARE_PER_CPU(struct tss_struct, cpu_tss_rw);
DECLARE_PER_CPU(unsigned long, cpu_current_top_of_stack);

void cpu_init(void);
void trap_init(void);
void load_idt(void);
void smp_init(void);
void start_secondary(void) __noreturn;
void smp_send_reschedule(int cpu);
extern unsigned long initial_code, initial_gs, initial_stack, boot_params_pa;

void do_syscall_64(struct pt_regs *regs, int nr);
long syscall_trace_enter(struct pt_regs *regs, long syscall, unsigned long work);
void syscall_exit_to_user_mode(struct pt_regs *regs);
void irqentry_enter_from_user_mode(struct pt_regs *regs);
void irqentry_exit_to_user_mode(struct pt_regs *regs);
void irqentry_enter(struct pt_regs *regs);
void irqentry_exit(struct pt_regs *regs);
void irqentry_nmi_enter(struct pt_regs *regs);
void irqentry_nmi_exit(struct pt_regs *regs);

/* A vector's C function: what runs between the entry's and the exit's housekeeping is __exc_NAME. */
#define DEFINE_IDTENTRY(func)						\
	static void __##func(struct pt_regs *regs);			\
	void func(struct pt_regs *regs);				\
	noinstr void func(struct pt_regs *regs)				\
	{								\
		irqentry_enter(regs);					\
		__##func(regs);						\
		irqentry_exit(regs);					\
	}								\
	static noinline void __##func(struct pt_regs *regs)
#define DEFINE_IDTENTRY_ERRORCODE(func)					\
	static void __##func(struct pt_regs *regs, unsigned long error_code); \
	void func(struct pt_regs *regs, unsigned long error_code);	\
	noinstr void func(struct pt_regs *regs, unsigned long error_code) \
	{								\
		irqentry_enter(regs);					\
		__##func(regs, error_code);				\
		irqentry_exit(regs);					\
	}								\
	static noinline void __##func(struct pt_regs *regs, unsigned long error_code)
/* External interrupts: the same inside irq_enter_rcu() and irq_exit_rcu(), so that in_hardirq() holds. */
#define DEFINE_IDTENTRY_SYSVEC(func)					\
	static void __##func(struct pt_regs *regs);			\
	void func(struct pt_regs *regs);				\
	noinstr void func(struct pt_regs *regs)				\
	{								\
		irqentry_enter(regs);					\
		irq_enter_rcu();					\
		__##func(regs);						\
		irq_exit_rcu();						\
		irqentry_exit(regs);					\
	}								\
	static noinline void __##func(struct pt_regs *regs)

void irq_enter_rcu(void);
void irq_exit_rcu(void);

static __always_inline void wrmsrl(unsigned int msr, u64 val)
{
	__asm__ __volatile__("wrmsr" : : "c"(msr), "a"((u32)val), "d"((u32)(val >> 32)) : "memory");
}

static __always_inline u64 rdmsrl(unsigned int msr)
{
	u32 lo, hi;

	__asm__ __volatile__("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return lo | (u64)hi << 32;
}

static __always_inline unsigned long read_cr2(void)
{
	unsigned long val;

	__asm__ __volatile__("movq %%cr2, %0" : "=r"(val));
	return val;
}

static __always_inline unsigned long read_cr3(void)
{
	unsigned long val;

	__asm__ __volatile__("movq %%cr3, %0" : "=r"(val));
	return val;
}

static __always_inline void outb(u8 value, u16 port)
{
	__asm__ __volatile__("outb %0, %1" : : "a"(value), "Nd"(port));
}

static __always_inline void outl(u32 value, u16 port)
{
	__asm__ __volatile__("outl %0, %1" : : "a"(value), "Nd"(port));
}

static __always_inline u8 inb(u16 port)
{
	u8 value;

	__asm__ __volatile__("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static __always_inline void cpu_relax(void) { __asm__ __volatile__("pause" ::: "memory"); }

#endif
