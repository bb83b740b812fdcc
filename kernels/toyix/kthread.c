/*
 * kthread.c: kernel threads. kthreadd (pid 2) is the parent of all of them: who wants one asks it, so that a thread
 * inherits nothing from whoever happened to ask.
 */
#include "printk.h"
#include "slab.h"
#include "string.h"
#include "wait.h"

struct kthread_create_info {
	int (*threadfn)(void *data);
	void *data;
	char comm[TASK_COMM_LEN];
	struct task_struct *result;
	struct completion done;
	struct list_head list;
};

static LIST_HEAD(kthread_create_list);
static DEFINE_SPINLOCK(kthread_create_lock);
struct task_struct *kthreadd_task;

/* The first function of every kernel thread. It sleeps once, until kthread_run() or wake_up_process(). */
static int kthread(void *_create)
{
	struct kthread_create_info *create = _create;
	int (*threadfn)(void *data) = create->threadfn;
	void *data = create->data;

	set_task_comm(current, create->comm);
	__set_current_state(TASK_UNINTERRUPTIBLE);
	create->result = current;
	complete(&create->done);
	schedule();
	do_exit(threadfn(data));
}

int kthreadd(void *unused)
{
	set_task_comm(current, "kthreadd");
	for (;;) {
		struct kthread_create_info *create;

		set_current_state(TASK_INTERRUPTIBLE);
		if (list_empty(&kthread_create_list))
			schedule();
		__set_current_state(TASK_RUNNING);

		spin_lock(&kthread_create_lock);
		create = list_first_entry_or_null(&kthread_create_list, struct kthread_create_info, list);
		if (create)
			list_del(&create->list);
		spin_unlock(&kthread_create_lock);
		if (create && kernel_thread(kthread, create, CLONE_FS | CLONE_FILES) < 0)
			panic("kthreadd: can not create %s", create->comm);
	}
}

struct task_struct *kthread_create(int (*threadfn)(void *data), void *data, const char *name)
{
	struct kthread_create_info create = { .threadfn = threadfn, .data = data };

	strscpy(create.comm, name, sizeof(create.comm));
	init_completion(&create.done);
	spin_lock(&kthread_create_lock);
	list_add_tail(&create.list, &kthread_create_list);
	spin_unlock(&kthread_create_lock);
	wake_up_process(kthreadd_task);
	wait_for_completion(&create.done);
	return create.result;
}

struct task_struct *kthread_run(int (*threadfn)(void *data), void *data, const char *name)
{
	struct task_struct *p = kthread_create(threadfn, data, name);

	wake_up_process(p);
	return p;
}
