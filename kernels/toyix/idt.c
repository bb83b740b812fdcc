/* idt.c: the table of gates, one for all CPUs. */
#include "processor.h"
#include "string.h"

struct gate_desc {
	u16 offset_low;
	u16 segment;
	u8 ist;			/* 0: stay on the stack (or take sp0 from ring 3) */
	u8 type;		/* 0x8e: interrupt gate, present; bits 5-6: who may use it with int n */
	u16 offset_middle;
	u32 offset_high;
	u32 reserved;
};

struct idt_data {
	u8 vector;
	u8 ist;
	u8 dpl;
	void (*addr)(void);
};

static struct gate_desc idt_table[256] __section(".data..page_aligned") __aligned(4096);

#define INTG(vector, name, ist, dpl) { vector, ist, dpl, asm_##name }

void asm_exc_divide_error(void), asm_exc_debug(void), asm_exc_int3(void), asm_exc_overflow(void), asm_exc_bounds(void),
	asm_exc_invalid_op(void), asm_exc_device_not_available(void), asm_exc_double_fault(void), asm_exc_invalid_tss(void),
	asm_exc_segment_not_present(void), asm_exc_stack_segment(void), asm_exc_general_protection(void),
	asm_exc_page_fault(void), asm_exc_alignment_check(void), asm_sysvec_serial_interrupt(void),
	asm_sysvec_apic_timer_interrupt(void), asm_sysvec_reschedule_ipi(void), asm_sysvec_irq_work(void);

static const struct idt_data def_idts[] = {
	INTG(0, exc_divide_error, 0, 0),
	INTG(1, exc_debug, 0, 0),
	/* No IST: the handler runs on the interrupted stack, so a hit inside a hit simply nests. */
	INTG(3, exc_int3, 0, 3),
	INTG(4, exc_overflow, 0, 3),
	INTG(5, exc_bounds, 0, 0),
	INTG(6, exc_invalid_op, 0, 0),
	INTG(7, exc_device_not_available, 0, 0),
	/* A stack that has run into its guard page can not take the page fault; this one has its own. */
	INTG(8, exc_double_fault, DOUBLE_FAULT_IST, 0),
	INTG(10, exc_invalid_tss, 0, 0),
	INTG(11, exc_segment_not_present, 0, 0),
	INTG(12, exc_stack_segment, 0, 0),
	INTG(13, exc_general_protection, 0, 0),
	INTG(14, exc_page_fault, 0, 0),
	INTG(17, exc_alignment_check, 0, 0),
	INTG(SERIAL_VECTOR, sysvec_serial_interrupt, 0, 0),
	INTG(LOCAL_TIMER_VECTOR, sysvec_apic_timer_interrupt, 0, 0),
	INTG(IRQ_WORK_VECTOR, sysvec_irq_work, 0, 0),
	INTG(RESCHEDULE_VECTOR, sysvec_reschedule_ipi, 0, 0),
};

void load_idt(void)
{
	struct desc_ptr idt_descr = { sizeof(idt_table) - 1, (u64)idt_table };

	__asm__ __volatile__("lidt %0" : : "m"(idt_descr));
}

/* The vectors that are not listed stay "not present": using one is a general protection fault. */
void __init trap_init(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(def_idts); i++) {
		const struct idt_data *t = &def_idts[i];
		struct gate_desc *gate = &idt_table[t->vector];
		unsigned long addr = (unsigned long)t->addr;

		gate->offset_low = addr;
		gate->segment = __KERNEL_CS;
		gate->ist = t->ist;
		gate->type = 0x8e | t->dpl << 5;
		gate->offset_middle = addr >> 16;
		gate->offset_high = addr >> 32;
	}
	load_idt();
}
