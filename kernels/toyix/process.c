/* process.c: the machine's side of a task: what is switched beyond registers, and what a new one starts with. */
#include "memlayout.h"
#include "processor.h"
#include "sched.h"
#include "string.h"
#include "syscalls.h"

/* What __switch_to_asm pops. */
struct inactive_task_frame {
	unsigned long r15;		/*  0 */
	unsigned long r14;		/*  8 */
	unsigned long r13;		/* 16 */
	unsigned long r12;		/* 24 */
	unsigned long bx;		/* 32 */
	unsigned long bp;		/* 40: 0, where walks of the stack end */
	unsigned long ret_addr;		/* 48 */
};

/* A new task's stack: it looks as if it had been switched away from in ret_from_fork, called by a system call. */
struct fork_frame {
	struct inactive_task_frame frame;
	struct pt_regs regs;
};

int copy_thread(struct task_struct *p, const struct kernel_clone_args *args)
{
	struct fork_frame *fork_frame = container_of(task_pt_regs(p), struct fork_frame, regs);
	struct inactive_task_frame *frame = &fork_frame->frame;
	struct pt_regs *childregs = &fork_frame->regs;

	memset(fork_frame, 0, sizeof(*fork_frame));
	frame->ret_addr = (unsigned long)ret_from_fork;
	p->thread.sp = (unsigned long)frame;
	if (args->fn) {
		frame->bx = (unsigned long)args->fn;
		frame->r12 = (unsigned long)args->fn_arg;
		return 0;
	}
	*childregs = *task_pt_regs(current);
	childregs->ax = 0;
	if (args->stack)
		childregs->sp = args->stack;
	if (args->flags & CLONE_SETTLS)
		p->thread.fsbase = args->tls;
	return 0;
}

/* On next's stack already. The return value is how a new task learns who ran before. */
struct task_struct *__switch_to(struct task_struct *prev, struct task_struct *next)
{
	this_cpu_write(current_task, next);
	this_cpu_write(cpu_current_top_of_stack, task_top_of_stack(next));
	this_cpu_ptr(&cpu_tss_rw)->sp0 = task_top_of_stack(next);
	if (prev->thread.fsbase != next->thread.fsbase)
		wrmsrl(MSR_FS_BASE, next->thread.fsbase);
	return prev;
}

/* execve: the system call returns to the new program, with empty registers. It is still the same system call. */
void start_thread(struct pt_regs *regs, unsigned long new_ip, unsigned long new_sp)
{
	*regs = (struct pt_regs){
		.orig_ax = regs->orig_ax,
		.ip = new_ip,
		.cs = __USER_CS,
		.flags = X86_EFLAGS_IF,
		.sp = new_sp,
		.ss = __USER_DS,
	};
	current->thread.fsbase = 0;
	wrmsrl(MSR_FS_BASE, 0);
}

#define ARCH_SET_FS	0x1002
#define ARCH_GET_FS	0x1003

SYSCALL_DEFINE2(arch_prctl, int, option, unsigned long, arg2)
{
	switch (option) {
	case ARCH_SET_FS:
		if (arg2 >= TASK_SIZE_MAX)
			return -EPERM;
		current->thread.fsbase = arg2;
		wrmsrl(MSR_FS_BASE, arg2);
		return 0;
	case ARCH_GET_FS:
		return put_user(current->thread.fsbase, (unsigned long __user *)arg2);
	}
	return -EINVAL;
}
