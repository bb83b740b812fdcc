/* sys.c: small system calls: who am I, what is this, switch it off. */
#include "hypercalls.h"
#include "mm.h"
#include "printk.h"
#include "string.h"
#include "syscalls.h"

SYSCALL_DEFINE0(getpid) { return current->tgid; }
SYSCALL_DEFINE0(gettid) { return current->pid; }
SYSCALL_DEFINE0(getppid) { return READ_ONCE(current->real_parent)->tgid; }
SYSCALL_DEFINE0(getpgrp) { return current->pgrp; }

SYSCALL_DEFINE0(sched_yield)
{
	yield();
	return 0;
}

SYSCALL_DEFINE1(set_tid_address, int __user *, tidptr)
{
	return current->pid;
}

SYSCALL_DEFINE2(setpgid, pid_t, pid, pid_t, pgid)
{
	struct task_struct *p;
	int ret = -ESRCH;

	if (pgid < 0)
		return -EINVAL;
	spin_lock_irq(&tasklist_lock);
	p = pid ? find_task_by_vpid(pid) : current;
	if (p && (p == current || p->real_parent == current)) {
		p->pgrp = pgid ? pgid : p->pid;
		ret = 0;
	}
	spin_unlock_irq(&tasklist_lock);
	return ret;
}

struct new_utsname {
	char sysname[65];
	char nodename[65];
	char release[65];
	char version[65];
	char machine[65];
	char domainname[65];
};

static const struct new_utsname utsname = {
	.sysname = "Linux",
	.nodename = "toyix",
	.release = "6.1.0-toyix",
	.version = "#1 SMP PREEMPT",
	.machine = "x86_64",
	.domainname = "(none)",
};

SYSCALL_DEFINE1(newuname, struct new_utsname __user *, name)
{
	return copy_to_user(name, &utsname, sizeof(utsname)) ? -EFAULT : 0;
}

SYSCALL_DEFINE3(getcpu, unsigned int __user *, cpup, unsigned int __user *, nodep,
		struct getcpu_cache __user *, unused)
{
	return cpup ? put_user((unsigned int)smp_processor_id(), cpup) : 0;
}

struct sysinfo {
	long uptime;
	unsigned long loads[3];
	unsigned long totalram, freeram, sharedram, bufferram, totalswap, freeswap;
	unsigned short procs, pad;
	unsigned long totalhigh, freehigh;
	unsigned int mem_unit;
};

SYSCALL_DEFINE1(sysinfo, struct sysinfo __user *, info)
{
	struct sysinfo val = {
		.uptime = ktime_get() / NSEC_PER_SEC,
		.totalram = ram_size,
		.freeram = nr_free_pages.counter * PAGE_SIZE,
		.mem_unit = 1,
	};
	struct task_struct *p;

	for (int i = 0; i < 3; i++)
		val.loads[i] = avenrun[i] << (16 - 11);
	spin_lock_irq(&tasklist_lock);
	for_each_process(p)
		val.procs++;
	spin_unlock_irq(&tasklist_lock);
	return copy_to_user(info, &val, sizeof(val)) ? -EFAULT : 0;
}

void kernel_power_off(int code)
{
	pr_info("reboot: Power down\n");
	local_irq_disable();
	hypercall(HC_POWER_OFF, code, 0, 0);
	for (;;)
		__asm__ __volatile__("hlt");
}

#define LINUX_REBOOT_MAGIC1	0xfee1dead

/* There is one thing this board can do, whatever the command says. */
SYSCALL_DEFINE4(reboot, int, magic1, int, magic2, unsigned int, cmd, void __user *, arg)
{
	if (!capable(CAP_SYS_BOOT))
		return -EPERM;
	if ((unsigned int)magic1 != LINUX_REBOOT_MAGIC1)
		return -EINVAL;
	kernel_power_off(0);
}
