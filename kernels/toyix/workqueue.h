/* workqueue.h: work that an interrupt leaves for a kernel thread. */
#ifndef _WORKQUEUE_H
#define _WORKQUEUE_H

#include "list.h"

struct work_struct {
	struct list_head entry;		/* empty: not queued */
	void (*func)(struct work_struct *work);
};

#define DECLARE_WORK(n, f)	struct work_struct n = { .entry = LIST_HEAD_INIT(n.entry), .func = f }

/* From any context. Returns false if it was queued already. */
bool schedule_work(struct work_struct *work);
void workqueue_init(void);

#endif
