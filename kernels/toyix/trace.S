/* trace.S: each tracepoint's key and the call that reports it. A tracepoint is one line here and one in trace.h. */
#include "hypercall_stub.h"
#include "jump_label.h"

	.set	next_number, HC_FIRST_TRACEPOINT

.macro DEFINE_TRACE name
	.section .kprobes.text, "ax"
	HYPERCALL_STUB __traceiter_\name next_number
	.set	next_number, next_number + 1

	.section .rodata
9:	.asciz	"\name"
	.data
	.balign	8
	.globl	__tracepoint_\name
	.type	__tracepoint_\name, @object
__tracepoint_\name:
	.quad	9b
	STATIC_KEY_INIT_FALSE
	.quad	__traceiter_\name
	.size	__tracepoint_\name, 32
.endm

	DEFINE_TRACE sys_enter
	DEFINE_TRACE sys_exit
	DEFINE_TRACE sched_switch
	DEFINE_TRACE sched_waking
	DEFINE_TRACE sched_wakeup
	DEFINE_TRACE sched_wakeup_new
	DEFINE_TRACE sched_migrate_task
	DEFINE_TRACE sched_stat_runtime
	DEFINE_TRACE sched_process_fork
	DEFINE_TRACE sched_process_exec
	DEFINE_TRACE sched_process_exit
	DEFINE_TRACE sched_process_wait
	DEFINE_TRACE sched_process_free
	DEFINE_TRACE task_newtask
	DEFINE_TRACE task_rename
	DEFINE_TRACE signal_generate
	DEFINE_TRACE signal_deliver
	DEFINE_TRACE kmalloc
	DEFINE_TRACE kfree
	DEFINE_TRACE page_fault_user
	DEFINE_TRACE page_fault_kernel
	DEFINE_TRACE irq_handler_entry
	DEFINE_TRACE irq_handler_exit
	DEFINE_TRACE local_timer_entry
	DEFINE_TRACE local_timer_exit
	DEFINE_TRACE reschedule_entry
	DEFINE_TRACE reschedule_exit
	DEFINE_TRACE irq_work_entry
	DEFINE_TRACE irq_work_exit
	DEFINE_TRACE hrtimer_init
	DEFINE_TRACE hrtimer_start
	DEFINE_TRACE hrtimer_cancel
	DEFINE_TRACE hrtimer_expire_entry
	DEFINE_TRACE hrtimer_expire_exit
	DEFINE_TRACE workqueue_execute_start
	DEFINE_TRACE workqueue_execute_end

	.section .note.GNU-stack, "", @progbits
