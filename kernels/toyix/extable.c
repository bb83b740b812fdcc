/* extable.c: where to go on after an instruction that was allowed to fault. (Linux: lib/extable.c, arch/x86/mm/extable.c) */
#include "mm.h"
#include "uaccess.h"

extern const struct exception_table_entry __start___ex_table[], __stop___ex_table[];

static unsigned long ex_to_insn(const struct exception_table_entry *x) { return (unsigned long)&x->insn + x->insn; }
static unsigned long ex_fixup_addr(const struct exception_table_entry *x) { return (unsigned long)&x->fixup + x->fixup; }

const struct exception_table_entry *search_exception_tables(unsigned long addr)
{
	const struct exception_table_entry *e;

	for (e = __start___ex_table; e < __stop___ex_table; e++)
		if (ex_to_insn(e) == addr)
			return e;
	return NULL;
}

bool fixup_exception(struct pt_regs *regs)
{
	const struct exception_table_entry *e = search_exception_tables(regs->ip);

	if (e)
		regs->ip = ex_fixup_addr(e);
	return e;
}
