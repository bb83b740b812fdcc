/* pid.c: numbers for tasks, and tasks by number. */
#include "sched.h"

#define PID_MAX		32768
#define RESERVED_PIDS	300	/* after the first round the low numbers are left alone */

/* The caller holds tasklist_lock. */
struct task_struct *find_task_by_vpid(pid_t nr)
{
	struct task_struct *p;

	for_each_process(p)
		if (p->pid == nr)
			return p;
	return NULL;
}

pid_t alloc_pid(void)
{
	static pid_t last_pid;

	do
		last_pid = last_pid + 1 < PID_MAX ? last_pid + 1 : RESERVED_PIDS;
	while (find_task_by_vpid(last_pid));
	return last_pid;
}
