/* setup_percpu.c: a copy of the per-CPU section for each CPU, and GS pointing to it. */
#include "mm.h"
#include "preempt.h"
#include "processor.h"
#include "string.h"

unsigned long __per_cpu_offset[NR_CPUS];
unsigned int nr_cpu_ids = 1;
unsigned long __cpu_online_mask;
DEFINE_PER_CPU(int, cpu_number);
DEFINE_PER_CPU(unsigned long, this_cpu_off);
/* 1: booting is not preemptible. CPU 0 goes from here into its idle loop, which is not either. */
DEFINE_PER_CPU(int, __preempt_count) = PREEMPT_OFFSET;
/* Written by the host: the probe being handled on this CPU, 0 for none. Read before asking it about a fault. */
DEFINE_PER_CPU(unsigned long, current_kprobe);

void __init setup_per_cpu_areas(void)
{
	unsigned long size = PAGE_ALIGN(__per_cpu_end - __per_cpu_start);
	int cpu;

	for_each_possible_cpu(cpu) {
		char *area = memblock_alloc(size, PAGE_SIZE);

		memcpy(area, __per_cpu_start, __per_cpu_end - __per_cpu_start);
		__per_cpu_offset[cpu] = area - __per_cpu_start;
		per_cpu(cpu_number, cpu) = cpu;
		per_cpu(this_cpu_off, cpu) = __per_cpu_offset[cpu];
	}
	wrmsrl(MSR_GS_BASE, __per_cpu_offset[0]);
	__cpu_online_mask = 1;
}
