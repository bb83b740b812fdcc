/* fork.c: making tasks and address spaces, and unmaking them. */
#include "mm.h"
#include "printk.h"
#include "string.h"
#include "syscalls.h"
#include "trace.h"
#include "wait.h"

extern char init_stack[];
extern struct files_struct init_files;
extern struct fs_struct init_fs;

struct mm_struct init_mm = {
	.mmap = LIST_HEAD_INIT(init_mm.mmap),
	.pgd = init_top_pgt,
	.mm_users = ATOMIC_INIT(2),
	.mm_count = ATOMIC_INIT(1),
};

/* What CPU 0 has been since its first instruction: pid 0, later its idle task. */
struct task_struct init_task = {
	.stack = init_stack,
	.usage = REFCOUNT_INIT(2),
	.flags = PF_KTHREAD,
	.on_cpu = 1,
	.prio = 120,
	.static_prio = 120,
	.normal_prio = 120,
	.tasks = LIST_HEAD_INIT(init_task.tasks),
	.active_mm = &init_mm,
	.real_parent = &init_task,
	.parent = &init_task,
	.children = LIST_HEAD_INIT(init_task.children),
	.sibling = LIST_HEAD_INIT(init_task.sibling),
	.group_leader = &init_task,
	.wait_chldexit = __WAIT_QUEUE_HEAD_INITIALIZER(init_task.wait_chldexit),
	.cred = &init_cred,
	.comm = "swapper",
	.files = &init_files,
	.fs = &init_fs,
};

/* Tasks made minus tasks reaped on each CPU: only the sum over all means something. */
DEFINE_PER_CPU(unsigned long, process_counts);
DEFINE_PER_CPU(struct task_struct *, current_task) = &init_task;

/* Guards the list of tasks and everyone's children. Taken in interrupts too (Ctrl-C). */
DEFINE_SPINLOCK(tasklist_lock);
struct task_struct *init_pid1;

static struct kmem_cache *task_struct_cachep, *mm_cachep;

void __init fork_init(void)
{
	task_struct_cachep = kmem_cache_create("task_struct", sizeof(struct task_struct));
	mm_cachep = kmem_cache_create("mm_struct", sizeof(struct mm_struct));
}

struct mm_struct *mm_alloc(void)
{
	struct mm_struct *mm = kmem_cache_zalloc(mm_cachep, GFP_KERNEL);

	if (!mm)
		return NULL;
	INIT_LIST_HEAD(&mm->mmap);
	atomic_set(&mm->mm_users, 1);
	atomic_set(&mm->mm_count, 1);
	mm->pgd = pgd_alloc();
	if (!mm->pgd) {
		kmem_cache_free(mm_cachep, mm);
		return NULL;
	}
	return mm;
}

/* The last reference of any kind: no CPU has its page tables loaded any more. */
void mmdrop(struct mm_struct *mm)
{
	if (!atomic_dec_and_test(&mm->mm_count))
		return;
	BUG_ON(mm == &init_mm);
	pgd_free(mm->pgd);
	kmem_cache_free(mm_cachep, mm);
}

/* The last task that lived in it is gone. */
void mmput(struct mm_struct *mm)
{
	if (!atomic_dec_and_test(&mm->mm_users))
		return;
	exit_mmap(mm);
	uprobe_clear_state(mm);
	mmdrop(mm);
}

static noinline int dup_mmap(struct mm_struct *mm, struct mm_struct *oldmm)
{
	struct vm_area_struct *mpnt;

	list_for_each_entry(mpnt, &oldmm->mmap, vm_list) {
		struct vm_area_struct *tmp;

		if (mpnt->vm_flags & VM_DONTCOPY)
			continue;
		tmp = vm_area_dup(mpnt);
		if (!tmp)
			return -ENOMEM;
		tmp->vm_mm = mm;
		insert_vm_struct(mm, tmp);
		if (copy_page_range(tmp, mpnt))
			return -ENOMEM;
	}
	/* The parent has just lost its right to write. */
	flush_tlb_all_local();
	return 0;
}

struct mm_struct *dup_mm(struct mm_struct *oldmm)
{
	struct mm_struct *mm = mm_alloc();

	if (!mm)
		return NULL;
	mm->start_code = oldmm->start_code;
	mm->end_code = oldmm->end_code;
	mm->start_data = oldmm->start_data;
	mm->end_data = oldmm->end_data;
	mm->start_brk = oldmm->start_brk;
	mm->brk = oldmm->brk;
	mm->start_stack = oldmm->start_stack;
	mm->arg_start = oldmm->arg_start;
	mm->arg_end = oldmm->arg_end;
	mm->env_start = oldmm->env_start;
	mm->env_end = oldmm->env_end;
	mm->flags = oldmm->flags;
	if (dup_mmap(mm, oldmm)) {
		mmput(mm);
		return NULL;
	}
	return mm;
}

static int copy_mm(unsigned long clone_flags, struct task_struct *tsk)
{
	struct mm_struct *mm = current->mm;

	tsk->mm = tsk->active_mm = NULL;
	if (!mm)
		return 0;
	if (clone_flags & CLONE_VM)
		mmget(mm);
	else
		mm = dup_mm(mm);
	if (!mm)
		return -ENOMEM;
	tsk->mm = tsk->active_mm = mm;
	return 0;
}

/* The task leaves its address space, by execve or exit: a parent stopped in vfork has it to itself again. */
void mm_release(struct task_struct *tsk)
{
	struct completion *vfork = tsk->vfork_done;

	uprobe_free_utask(tsk);
	tsk->vfork_done = NULL;
	if (vfork)
		complete(vfork);
}

void __put_task_struct(struct task_struct *tsk)
{
	trace_sched_process_free(tsk);
	put_cred(tsk->cred);
	kmem_cache_free(task_struct_cachep, tsk);
}

static struct task_struct *dup_task_struct(struct task_struct *orig)
{
	struct task_struct *tsk = kmem_cache_alloc(task_struct_cachep, GFP_KERNEL);

	if (!tsk)
		return NULL;
	*tsk = *orig;
	tsk->stack = alloc_thread_stack();
	if (!tsk->stack) {
		kmem_cache_free(task_struct_cachep, tsk);
		return NULL;
	}
	/* One for the scheduler, put after the last switch away; one for the parent, put by wait4. */
	refcount_set(&tsk->usage, 2);
	tsk->thread_info.flags = 0;
	tsk->thread_info.syscall_work = 0;
	return tsk;
}

static void init_task_fields(struct task_struct *p, struct kernel_clone_args *args)
{
	spin_lock_init(&p->pi_lock);
	INIT_LIST_HEAD(&p->children);
	INIT_LIST_HEAD(&p->sibling);
	init_waitqueue_head(&p->wait_chldexit);
	p->group_leader = p;
	p->exit_state = 0;
	p->exit_code = 0;
	p->exit_signal = args->exit_signal;
	p->vfork_done = NULL;
	p->utime = p->stime = 0;
	p->nvcsw = p->nivcsw = 0;
	p->min_flt = 0;
	p->start_time = ktime_get_ns();
	p->pending = (struct sigpending){ 0 };
	p->rethooks.first = NULL;
	p->flags &= ~(PF_IDLE | PF_EXITING);
	/* A user task's child becomes a kernel thread only through fn. */
	if (args->fn)
		p->flags |= PF_KTHREAD;
}

/* A complete task that does not run yet. */
static noinline struct task_struct *copy_process(struct kernel_clone_args *args)
{
	struct task_struct *p;
	int retval;

	/* A thread would share pid and signals; tasks here have one thread each. */
	if (args->flags & CLONE_THREAD)
		return ERR_PTR(-EINVAL);
	p = dup_task_struct(current);
	if (!p)
		return ERR_PTR(-ENOMEM);
	init_task_fields(p, args);
	sched_fork(p);
	retval = copy_creds(p);
	if (retval)
		goto bad_fork_free;
	retval = copy_files(args->flags, p);
	if (retval)
		goto bad_fork_cleanup_cred;
	retval = copy_sighand(p);
	if (retval)
		goto bad_fork_cleanup_files;
	retval = copy_fs(args->flags, p);
	if (retval)
		goto bad_fork_cleanup_sighand;
	retval = copy_mm(args->flags, p);
	if (retval)
		goto bad_fork_cleanup_fs;
	copy_thread(p, args);
	uprobe_copy_process(p, args->flags);
	copy_seccomp(p);

	spin_lock_irq(&tasklist_lock);
	p->pid = p->tgid = args->idle ? 0 : alloc_pid();
	p->real_parent = p->parent = current;
	if (!args->idle) {
		list_add_tail(&p->sibling, &current->children);
		list_add_tail(&p->tasks, &init_task.tasks);
	}
	if (p->pid == 1)
		init_pid1 = p;
	this_cpu_write(process_counts, this_cpu_read(process_counts) + !args->idle);
	spin_unlock_irq(&tasklist_lock);
	trace_task_newtask(p, args->flags);
	return p;

bad_fork_cleanup_fs:
	exit_fs(p);
bad_fork_cleanup_sighand:
	exit_sighand(p);
bad_fork_cleanup_files:
	exit_files(p);
bad_fork_cleanup_cred:
	put_cred(p->cred);
bad_fork_free:
	free_thread_stack(p->stack);
	kmem_cache_free(task_struct_cachep, p);
	return ERR_PTR(retval);
}

pid_t kernel_clone(struct kernel_clone_args *args)
{
	struct task_struct *p = copy_process(args);
	struct completion vfork;
	pid_t nr;

	if (IS_ERR(p))
		return PTR_ERR(p);
	trace_sched_process_fork(current, p);
	/* The child may be gone when we look again. */
	nr = p->pid;
	if (args->flags & CLONE_PARENT_SETTID)
		put_user(nr, args->parent_tid);
	if (args->flags & CLONE_VFORK) {
		init_completion(&vfork);
		p->vfork_done = &vfork;
	}
	wake_up_new_task(p);
	/* Until the child has left, it uses our memory, also the stack we would go on with. */
	if (args->flags & CLONE_VFORK)
		wait_for_completion(&vfork);
	return nr;
}

pid_t kernel_thread(int (*fn)(void *), void *arg, unsigned long flags)
{
	struct kernel_clone_args args = {
		.flags = (flags | CLONE_VM) & ~CSIGNAL,
		.exit_signal = flags & CSIGNAL,
		.fn = fn,
		.fn_arg = arg,
	};

	return kernel_clone(&args);
}

struct task_struct *__init fork_idle(int cpu)
{
	struct kernel_clone_args args = { .flags = CLONE_VM, .idle = true };
	struct task_struct *task = copy_process(&args);

	if (IS_ERR(task))
		panic("fork_idle(%d): %ld", cpu, PTR_ERR(task));
	task->real_parent = task->parent = &init_task;
	task->flags |= PF_KTHREAD;
	/* What an idle task borrows until it has switched once. */
	task->active_mm = &init_mm;
	mmgrab(&init_mm);
	init_idle(task, cpu);
	return task;
}

SYSCALL_DEFINE0(fork)
{
	struct kernel_clone_args args = { .exit_signal = SIGCHLD };

	return kernel_clone(&args);
}

SYSCALL_DEFINE0(vfork)
{
	struct kernel_clone_args args = { .flags = CLONE_VFORK | CLONE_VM, .exit_signal = SIGCHLD };

	return kernel_clone(&args);
}

SYSCALL_DEFINE5(clone, unsigned long, clone_flags, unsigned long, newsp, int __user *, parent_tidptr,
		int __user *, child_tidptr, unsigned long, tls)
{
	struct kernel_clone_args args = {
		.flags = (u32)clone_flags & ~CSIGNAL,
		.exit_signal = clone_flags & CSIGNAL,
		.stack = newsp,
		.parent_tid = parent_tidptr,
		.tls = tls,
	};

	return kernel_clone(&args);
}
