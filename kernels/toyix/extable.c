/* extable.c: where to go on after an instruction that was allowed to fault. (Linux: kernel/extable.c, arch/x86/mm/extable.c) */
#include "mm.h"
#include "uaccess.h"

extern const struct exception_table_entry __start___ex_table[], __stop___ex_table[];

/* The tables of BPF programs are behind their code; the host knows which program is where (bpf_trampoline.S). */
const struct exception_table_entry *search_bpf_extables(unsigned long addr);

static unsigned long ex_to_insn(const struct exception_table_entry *x) { return (unsigned long)&x->insn + x->insn; }
static unsigned long ex_fixup_addr(const struct exception_table_entry *x) { return (unsigned long)&x->fixup + x->fixup; }

const struct exception_table_entry *search_exception_tables(unsigned long addr)
{
	const struct exception_table_entry *e;

	for (e = __start___ex_table; e < __stop___ex_table; e++)
		if (ex_to_insn(e) == addr)
			return e;
	return search_bpf_extables(addr);
}

/* A load of a BPF program gives 0: the fixup holds which register, as an offset into pt_regs, above the load's length. */
static void ex_handler_bpf(const struct exception_table_entry *x, struct pt_regs *regs)
{
	unsigned int reg = (unsigned int)x->fixup >> 8;

	*(unsigned long *)((char *)regs + reg) = 0;
	regs->ip += x->fixup & 0xff;
}

bool fixup_exception(struct pt_regs *regs)
{
	const struct exception_table_entry *e = search_exception_tables(regs->ip);

	if (!e)
		return false;
	if (e->data == EX_TYPE_BPF)
		ex_handler_bpf(e, regs);
	else
		regs->ip = ex_fixup_addr(e);
	return true;
}
