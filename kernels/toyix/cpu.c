/* cpu.c: what each CPU loads for itself: GDT, TSS, the system call registers. (Linux: arch/x86/kernel/cpu/common.c) */
#include "irqflags.h"
#include "mm.h"
#include "processor.h"
#include "sched.h"

/*
 * Descriptor bits: 0x9a/0xfa code of ring 0/3, 0x92/0xf2 data; 0x20 in the top nibbles is L, 64-bit code. Base and limit of
 * code and data mean nothing in 64-bit mode.
 */
DEFINE_PER_CPU(struct gdt_page, gdt_page) = { .gdt = {
	[GDT_ENTRY_KERNEL_CS] = 0x00af9b000000ffff,
	[GDT_ENTRY_KERNEL_DS] = 0x00cf93000000ffff,
	[GDT_ENTRY_USER_DS] = 0x00cff3000000ffff,
	[GDT_ENTRY_USER_CS] = 0x00affb000000ffff,
} };
DEFINE_PER_CPU(struct tss_struct, cpu_tss_rw) = { .io_bitmap_base = sizeof(struct tss_struct) };
DEFINE_PER_CPU(unsigned long, cpu_current_top_of_stack);
static DEFINE_PER_CPU(char, double_fault_stack)[PAGE_SIZE] __aligned(16);

void entry_SYSCALL_64(void);

static void set_tss_desc(u64 *gdt, unsigned long base)
{
	unsigned long limit = sizeof(struct tss_struct) - 1;

	/* 0x89: present, available 64-bit TSS. The second entry holds the upper half of the base. */
	gdt[GDT_ENTRY_TSS] = limit | (base & 0xffffff) << 16 | 0x89UL << 40 | (base >> 24 & 0xff) << 56;
	gdt[GDT_ENTRY_TSS + 1] = base >> 32;
}

static void syscall_init(void)
{
	wrmsrl(MSR_EFER, rdmsrl(MSR_EFER) | EFER_SCE);
	wrmsrl(MSR_STAR, (u64)__USER32_CS << 48 | (u64)__KERNEL_CS << 32);
	wrmsrl(MSR_LSTAR, (u64)entry_SYSCALL_64);
	/* Cleared on entry: IF, since we are on the user's stack; TF, or a stepping user would step us; DF for C. */
	wrmsrl(MSR_SYSCALL_MASK, X86_EFLAGS_IF | X86_EFLAGS_TF | 0x400 | 0x40000);
}

/* GS points to this CPU's area already. */
void cpu_init(void)
{
	struct gdt_page *gdt = this_cpu_ptr(&gdt_page);
	struct tss_struct *tss = this_cpu_ptr(&cpu_tss_rw);
	struct desc_ptr gdt_descr = { sizeof(*gdt) - 1, (u64)gdt };

	tss->ist[DOUBLE_FAULT_IST - 1] = (u64)this_cpu_ptr(&double_fault_stack) + PAGE_SIZE;
	set_tss_desc(gdt->gdt, (unsigned long)tss);
	__asm__ __volatile__("lgdt %0" : : "m"(gdt_descr));
	__asm__ __volatile__("ltr %w0" : : "r"(TSS_SELECTOR));
	load_idt();
	syscall_init();
}
