/* main.c: the order in which everything comes to life. */
#include "fdtable.h"
#include "hypercalls.h"
#include "mm.h"
#include "printk.h"
#include "processor.h"
#include "sched.h"
#include "setup.h"
#include "workqueue.h"

void x86_64_start_kernel(void) __noreturn;
void start_kernel(void) __noreturn;

/* Descriptors 0, 1 and 2 of pid 1, and by inheritance of everyone. */
static void console_on_rootfs(void)
{
	struct file *file = filp_open("/dev/console", O_RDWR, 0);

	if (IS_ERR(file)) {
		pr_err("Warning: unable to open an initial console.\n");
		return;
	}
	for (int fd = 0; fd < 3; fd++)
		fd_install(get_unused_fd_flags(0), get_file(file));
	fput(file);
}

static int run_init_process(const char *init_filename)
{
	const char *const argv_init[] = { init_filename, NULL };
	const char *const envp_init[] = { "HOME=/", "TERM=linux", "PATH=/bin", NULL };

	pr_info("Run %s as init process\n", init_filename);
	return kernel_execve(init_filename, argv_init, envp_init);
}

/* pid 1, still as a kernel thread. What it returns to is the user program that it has become. */
static noinline int kernel_init(void *unused)
{
	int ret;

	current->pgrp = current->pid;
	smp_init();
	workqueue_init();
	populate_rootfs();
	console_on_rootfs();
	hc_mark(HC_MARK_BOOT_DONE, 0, 0);
	ret = run_init_process("/init");
	if (ret)
		panic("No working init found (%d).", ret);
	return 0;
}

static noinline void __noreturn rest_init(void)
{
	kernel_thread(kernel_init, NULL, CLONE_FS | SIGCHLD);
	kernel_thread(kthreadd, NULL, CLONE_FS | CLONE_FILES);
	spin_lock_irq(&tasklist_lock);
	kthreadd_task = find_task_by_vpid(2);
	spin_unlock_irq(&tasklist_lock);
	cpu_startup_entry();
}

void __init start_kernel(void)
{
	setup_arch();
	setup_per_cpu_areas();
	trap_init();
	cpu_init();
	pr_notice("toyix 6.1.0-toyix #1 SMP PREEMPT\n");
	pr_notice("Command line: %s\n", boot_command_line);
	mem_init();
	kmem_cache_init();
	sched_init();
	fork_init();
	hrtimers_init();
	tick_setup();
	local_irq_enable();
	vfs_caches_init();
	rest_init();
}

void __init x86_64_start_kernel(void)
{
	start_kernel();
}
