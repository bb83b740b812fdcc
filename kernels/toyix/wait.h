/* wait.h: wait queues, completions and mutexes (wait.c). */
#ifndef _WAIT_H
#define _WAIT_H

#include "errno.h"
#include "list.h"
#include "sched.h"
#include "spinlock.h"

struct wait_queue_entry {
	unsigned int flags;
	void *private;		/* the task to wake */
	int (*func)(struct wait_queue_entry *wq_entry, unsigned int mode, int flags, void *key);
	struct list_head entry;
};
#define WQ_FLAG_EXCLUSIVE	1

#define __WAIT_QUEUE_HEAD_INITIALIZER(name)	{ __SPIN_LOCK_UNLOCKED, LIST_HEAD_INIT((name).head) }
#define DECLARE_WAIT_QUEUE_HEAD(name)		wait_queue_head_t name = __WAIT_QUEUE_HEAD_INITIALIZER(name)
#define DEFINE_WAIT(name)						\
	struct wait_queue_entry name = {				\
		.private = current,					\
		.func = autoremove_wake_function,			\
		.entry = LIST_HEAD_INIT((name).entry),			\
	}

void init_waitqueue_head(wait_queue_head_t *wq_head);
void prepare_to_wait(wait_queue_head_t *wq_head, struct wait_queue_entry *wq_entry, int state);
void prepare_to_wait_exclusive(wait_queue_head_t *wq_head, struct wait_queue_entry *wq_entry, int state);
void finish_wait(wait_queue_head_t *wq_head, struct wait_queue_entry *wq_entry);
int autoremove_wake_function(struct wait_queue_entry *wq_entry, unsigned int mode, int sync, void *key);
int default_wake_function(struct wait_queue_entry *wq_entry, unsigned int mode, int wake_flags, void *key);
void __wake_up(wait_queue_head_t *wq_head, unsigned int mode, int nr_exclusive, void *key);

#define wake_up(x)		__wake_up(x, TASK_NORMAL, 1, NULL)
#define wake_up_all(x)		__wake_up(x, TASK_NORMAL, 0, NULL)
#define wake_up_interruptible(x) __wake_up(x, TASK_INTERRUPTIBLE, 1, NULL)

static inline bool waitqueue_active(wait_queue_head_t *wq_head) { return !list_empty(&wq_head->head); }

/* The state is set before the condition is read: a wake-up in between then makes schedule() return at once. */
#define ___wait_event(wq_head, condition, state) ({			\
	long __ret = 0;							\
	DEFINE_WAIT(__wait);						\
	for (;;) {							\
		prepare_to_wait(&(wq_head), &__wait, state);		\
		if (condition)						\
			break;						\
		if ((state) == TASK_INTERRUPTIBLE && signal_pending(current)) { \
			__ret = -ERESTARTSYS;				\
			break;						\
		}							\
		schedule();						\
	}								\
	finish_wait(&(wq_head), &__wait);				\
	__ret;								\
})
#define wait_event(wq_head, condition)					\
	do { if (!(condition)) (void)___wait_event(wq_head, condition, TASK_UNINTERRUPTIBLE); } while (0)
#define wait_event_interruptible(wq_head, condition)			\
	((condition) ? 0 : ___wait_event(wq_head, condition, TASK_INTERRUPTIBLE))

struct completion {
	unsigned int done;
	wait_queue_head_t wait;
};

void init_completion(struct completion *x);
void wait_for_completion(struct completion *x);
void complete(struct completion *x);

struct mutex {
	unsigned int locked;
	struct task_struct *owner;
	wait_queue_head_t wait;
};

#define DEFINE_MUTEX(name)	struct mutex name = { 0, NULL, __WAIT_QUEUE_HEAD_INITIALIZER((name).wait) }
void mutex_init(struct mutex *lock);
void mutex_lock(struct mutex *lock);
void mutex_unlock(struct mutex *lock);

#endif
