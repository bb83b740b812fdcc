/* syscall_64.c: from a number in rax to a function. */
#include "processor.h"
#include "syscalls.h"
#include "trace.h"

#define __NR_syscall_max	450

__SYSCALL_DEFINE0(ni_syscall)
{
	return -ENOSYS;
}

#define __SYSCALL(nr, sym) extern long __x64_##sym(const struct pt_regs *);
#include "syscall_64.tbl.h"
#include "syscalls_fs.tbl.h"
#undef __SYSCALL

#define __SYSCALL(nr, sym) [nr] = __x64_##sym,
const sys_call_ptr_t sys_call_table[__NR_syscall_max + 1] = {
	[0 ... __NR_syscall_max] = __x64_sys_ni_syscall,
#include "syscall_64.tbl.h"
#include "syscalls_fs.tbl.h"
};

static __always_inline bool do_syscall_x64(struct pt_regs *regs, int nr)
{
	/* As unsigned, a negative number is too large as well. */
	unsigned int unr = nr;

	if (unr > __NR_syscall_max)
		return false;
	regs->ax = sys_call_table[unr](regs);
	return true;
}

noinstr void do_syscall_64(struct pt_regs *regs, int nr)
{
	unsigned long work = READ_ONCE(current_thread_info()->syscall_work);

	local_irq_enable();
	if (unlikely(work)) {
		nr = syscall_trace_enter(regs, nr, work);
		if (nr == -1)
			goto out;
	}
	trace_sys_enter(regs, nr);
	if (!do_syscall_x64(regs, nr) && nr != -1)
		regs->ax = __x64_sys_ni_syscall(regs);
out:
	syscall_exit_to_user_mode(regs);
}
