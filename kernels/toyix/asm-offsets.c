/* asm-offsets.c: checks the constants of asm-offsets.h; makes no code. */
#include "asm-offsets.h"
#include "processor.h"
#include "sched.h"

_Static_assert(offsetof(struct pt_regs, di) == PT_RDI, "");
_Static_assert(offsetof(struct pt_regs, orig_ax) == PT_ORIG_RAX, "");
_Static_assert(offsetof(struct pt_regs, ss) == PT_SS, "");
_Static_assert(offsetof(struct task_struct, thread.sp) == TASK_thread_sp, "");
_Static_assert(offsetof(struct tss_struct, sp2) == TSS_sp2, "");
