/* smpboot.c: starting the other CPUs, and interrupting them. */
#include "hypercalls.h"
#include "mm.h"
#include "printk.h"
#include "processor.h"
#include "sched.h"
#include "trace.h"

void secondary_startup_64(void);

/* The first C function of the other CPUs, on their idle task's stack. */
void start_secondary(void)
{
	cpu_init();
	tick_setup();
	__sync_fetch_and_or(&__cpu_online_mask, BIT(smp_processor_id()));
	local_irq_enable();
	cpu_startup_entry();
}

static void __init do_boot_cpu(int cpu)
{
	struct task_struct *idle = fork_idle(cpu);

	per_cpu(current_task, cpu) = idle;
	per_cpu(cpu_current_top_of_stack, cpu) = task_top_of_stack(idle);
	per_cpu(cpu_tss_rw, cpu).sp0 = task_top_of_stack(idle);
	initial_code = (unsigned long)start_secondary;
	initial_gs = __per_cpu_offset[cpu];
	initial_stack = task_top_of_stack(idle);
	hypercall(HC_CPU_UP, cpu, (unsigned long)secondary_startup_64, cpu);
	/* One at a time: they all read the same three variables. */
	while (!cpu_online(cpu))
		cpu_relax();
}

void __init smp_init(void)
{
	for (unsigned int cpu = 1; cpu < nr_cpu_ids; cpu++)
		do_boot_cpu(cpu);
	pr_info("smp: Brought up 1 node, %u CPU%s\n", nr_cpu_ids, nr_cpu_ids == 1 ? "" : "s");
}

void smp_send_reschedule(int cpu)
{
	hypercall(HC_SEND_IPI, cpu, RESCHEDULE_VECTOR, 0);
}

/* TIF_NEED_RESCHED is set already; returning from the interrupt does the rest. */
DEFINE_IDTENTRY_SYSVEC(sysvec_reschedule_ipi)
{
	trace_reschedule_entry(RESCHEDULE_VECTOR);
	trace_reschedule_exit(RESCHEDULE_VECTOR);
}
