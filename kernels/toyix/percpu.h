/*
 * percpu.h: one copy of a variable for each CPU. The linked section is the template; CPU n's copy of x lies at
 * &x + __per_cpu_offset[n], and the GS base of CPU n is that offset. So %gs:x is "my x" in one instruction.
 */
#ifndef _PERCPU_H
#define _PERCPU_H

#include "types.h"
#include "compiler.h"

#define NR_CPUS	8

#define DEFINE_PER_CPU(type, name)	__section(".data..percpu") typeof(type) name
#define DECLARE_PER_CPU(type, name)	extern __section(".data..percpu") typeof(type) name

extern unsigned long __per_cpu_offset[NR_CPUS];
extern char __per_cpu_start[], __per_cpu_end[];
extern unsigned int nr_cpu_ids;		/* CPUs of this machine */
extern unsigned long __cpu_online_mask;

#define per_cpu_ptr(ptr, cpu)	((typeof(ptr))((unsigned long)(ptr) + __per_cpu_offset[cpu]))
#define per_cpu(var, cpu)	(*per_cpu_ptr(&(var), cpu))

#define __this_cpu_seg(var)	(*(volatile typeof(var) __seg_gs *)(unsigned long)&(var))
#define this_cpu_read(var)	__this_cpu_seg(var)
#define this_cpu_write(var, val) (__this_cpu_seg(var) = (val))

DECLARE_PER_CPU(int, cpu_number);
DECLARE_PER_CPU(unsigned long, this_cpu_off);

#define this_cpu_ptr(ptr)	((typeof(ptr))((unsigned long)(ptr) + this_cpu_read(this_cpu_off)))
#define smp_processor_id()	this_cpu_read(cpu_number)
#define cpu_online(cpu)		((READ_ONCE(__cpu_online_mask) >> (cpu)) & 1)
#define for_each_possible_cpu(cpu) for ((cpu) = 0; (cpu) < (int)nr_cpu_ids; (cpu)++)
#define for_each_online_cpu(cpu) for_each_possible_cpu(cpu) if (cpu_online(cpu))

void setup_per_cpu_areas(void);

#endif
