/* sched.h: tasks and the scheduler's interface. */
#ifndef _SCHED_H
#define _SCHED_H

#include "atomic.h"
#include "compiler.h"
#include "list.h"
#include "memlayout.h"
#include "preempt.h"
#include "ptrace.h"
#include "seccomp.h"
#include "signal.h"
#include "spinlock.h"
#include "thread_info.h"
#include "time.h"
#include "uprobes.h"

struct mm_struct;
struct files_struct;
struct fs_struct;
struct completion;
struct cred;
struct cfs_rq;

/* task_struct.__state */
#define TASK_RUNNING		0x0
#define TASK_INTERRUPTIBLE	0x1
#define TASK_UNINTERRUPTIBLE	0x2
#define TASK_DEAD		0x80
#define TASK_NEW		0x800
#define TASK_NORMAL		(TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE)
/* task_struct.exit_state */
#define EXIT_DEAD		0x10
#define EXIT_ZOMBIE		0x20
/* task_struct.flags */
#define PF_IDLE			0x2
#define PF_EXITING		0x4
#define PF_KTHREAD		0x00200000

#define TASK_COMM_LEN		16

struct thread_struct {
	unsigned long sp;		/* kernel stack pointer while not running */
	unsigned long fsbase;		/* user FS base (thread-local storage) */
	unsigned long cr2;		/* of the last user fault */
	unsigned long trap_nr;
	unsigned long error_code;
};

struct sched_entity {
	struct list_head run_node;	/* in its queue, least vruntime first */
	unsigned int on_rq;
	u64 exec_start;			/* ns: since when the running time is not yet counted */
	u64 sum_exec_runtime;		/* ns on a CPU in all */
	u64 vruntime;
	u64 prev_sum_exec_runtime;	/* sum_exec_runtime when last picked */
	struct cfs_rq *cfs_rq;
};

/* Here and not in wait.h because a task contains one. */
typedef struct wait_queue_head {
	spinlock_t lock;
	struct list_head head;
} wait_queue_head_t;


struct task_struct {
	struct thread_info thread_info;	/* first: see current_thread_info() */
	struct thread_struct thread;	/* __switch_to_asm knows where (asm-offsets.h) */
	unsigned int __state;
	void *stack;			/* lowest address of the kernel stack */
	refcount_t usage;		/* one for the scheduler, one for whoever waits for it */
	unsigned int flags;		/* PF_ */
	int on_cpu;
	int on_rq;
	int prio;
	int static_prio;
	int normal_prio;
	spinlock_t pi_lock;		/* serialises wake-ups of this task */
	struct sched_entity se;
	struct list_head tasks;		/* all processes, from init_task */
	struct mm_struct *mm;		/* NULL: kernel thread */
	struct mm_struct *active_mm;	/* whose page tables are loaded; borrowed by a kernel thread */
	int exit_state;
	int exit_code;
	int exit_signal;		/* what the parent gets */
	pid_t pid;
	pid_t tgid;
	pid_t pgrp;
	struct task_struct *real_parent;
	struct task_struct *parent;
	struct list_head children;
	struct list_head sibling;
	struct task_struct *group_leader;
	wait_queue_head_t wait_chldexit;	/* where it waits for its children */
	struct completion *vfork_done;	/* told when a vfork child leaves the parent's address space */
	u64 utime;			/* ns, sampled by the tick */
	u64 stime;
	unsigned long nvcsw;		/* switches because it slept */
	unsigned long nivcsw;		/* switches because it had to */
	u64 start_time;
	unsigned long min_flt;		/* page faults */
	const struct cred *cred;
	char comm[TASK_COMM_LEN];
	struct fs_struct *fs;		/* root and working directory */
	struct files_struct *files;	/* open files */
	u64 sig_ignored;		/* signals set to SIG_IGN */
	u64 sig_caught;			/* signals that have a handler */
	u64 blocked;			/* signals that wait */
	struct sighand_struct *sighand;	/* what signals do; NULL: none has ever had a handler */
	struct sigpending pending;
	unsigned long atomic_flags;	/* PFA_ */
	struct seccomp seccomp;
	struct uprobe_task utask;
	struct llist_head rethooks;	/* the returns that kretprobes have hooked, latest first; kept by the host */
};

extern struct task_struct init_task;
extern struct task_struct *init_pid1;
extern struct task_struct *kthreadd_task;
extern spinlock_t tasklist_lock;
DECLARE_PER_CPU(unsigned long, process_counts);

#define for_each_process(p)						\
	for (p = &init_task; (p = list_entry(p->tasks.next, struct task_struct, tasks)) != &init_task; )

#define PFA_NO_NEW_PRIVS	(1UL << 0)	/* execve grants nothing that the task does not have */
#define task_no_new_privs(p)	((int)(READ_ONCE((p)->atomic_flags) & PFA_NO_NEW_PRIVS))
#define task_set_no_new_privs(p) ((void)__sync_fetch_and_or(&(p)->atomic_flags, PFA_NO_NEW_PRIVS))

#define task_cpu(p)		((int)READ_ONCE((p)->thread_info.cpu))
#define task_top_of_stack(p)	((unsigned long)(p)->stack + THREAD_SIZE)
#define task_pt_regs(p)		((struct pt_regs *)task_top_of_stack(p) - 1)

/* The store must be visible before the caller reads the condition it waits for. */
#define set_current_state(state) do { WRITE_ONCE(current->__state, state); smp_mb(); } while (0)
#define __set_current_state(state) WRITE_ONCE(current->__state, state)

void sched_init(void);
void init_idle(struct task_struct *idle, int cpu);
void schedule(void);
void schedule_idle(void);
void schedule_tail(struct task_struct *prev);
void preempt_schedule_irq(void);
long schedule_timeout(long timeout);
void scheduler_tick(void);
void sched_fork(struct task_struct *p);
int try_to_wake_up(struct task_struct *p, unsigned int state, int wake_flags);
int wake_up_process(struct task_struct *p);
void wake_up_new_task(struct task_struct *p);
unsigned int nr_running(void);
bool idle_cpu(int cpu);
void yield(void);

struct task_struct *__switch_to_asm(struct task_struct *prev, struct task_struct *next);
struct task_struct *__switch_to(struct task_struct *prev, struct task_struct *next);
void ret_from_fork(void);
void start_thread(struct pt_regs *regs, unsigned long new_ip, unsigned long new_sp);
void cpu_startup_entry(void) __noreturn;

struct kernel_clone_args {
	u64 flags;
	int exit_signal;
	unsigned long stack;
	int *parent_tid;
	unsigned long tls;
	int (*fn)(void *);		/* kernel thread: runs this */
	void *fn_arg;
	bool idle;
};
#define CSIGNAL			0x000000ff
#define CLONE_VM		0x00000100
#define CLONE_FS		0x00000200
#define CLONE_FILES		0x00000400
#define CLONE_VFORK		0x00004000
#define CLONE_THREAD		0x00010000
#define CLONE_SETTLS		0x00080000
#define CLONE_PARENT_SETTID	0x00100000

pid_t kernel_clone(struct kernel_clone_args *args);
pid_t kernel_thread(int (*fn)(void *), void *arg, unsigned long flags);
struct task_struct *fork_idle(int cpu);
void fork_init(void);
void __put_task_struct(struct task_struct *tsk);
static inline void get_task_struct(struct task_struct *t) { refcount_inc(&t->usage); }
static inline void put_task_struct(struct task_struct *t)
{
	if (refcount_dec_and_test(&t->usage))
		__put_task_struct(t);
}
struct task_struct *find_task_by_vpid(pid_t nr);
pid_t alloc_pid(void);
int copy_thread(struct task_struct *p, const struct kernel_clone_args *args);
void mm_release(struct task_struct *tsk);
void set_task_comm(struct task_struct *tsk, const char *buf);

void kernel_power_off(int code) __noreturn;
void do_exit(long code) __noreturn;
void do_group_exit(int exit_code) __noreturn;
long kernel_wait4(pid_t upid, int __user *stat_addr, int options, void __user *ru);

struct task_struct *kthread_create(int (*threadfn)(void *data), void *data, const char *name);
struct task_struct *kthread_run(int (*threadfn)(void *data), void *data, const char *name);
int kthreadd(void *unused);
int kernel_execve(const char *filename, const char *const *argv, const char *const *envp);

/* The fs side's share of a task (file_table.c and friends). 0 or -errno. */
int copy_files(unsigned long clone_flags, struct task_struct *tsk);
void exit_files(struct task_struct *tsk);
int copy_fs(unsigned long clone_flags, struct task_struct *tsk);
void exit_fs(struct task_struct *tsk);
void do_close_on_exec(struct files_struct *files);

#include "cred.h"

#endif
