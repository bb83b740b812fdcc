/* cred.h: who a task acts as. */
#ifndef _CRED_H
#define _CRED_H

#include "atomic.h"

typedef struct { u64 val; } kernel_cap_t;

struct cred {
	atomic_t usage;
	kuid_t uid;			/* real */
	kgid_t gid;
	kuid_t suid;			/* saved */
	kgid_t sgid;
	kuid_t euid;			/* effective */
	kgid_t egid;
	kuid_t fsuid;			/* for file access */
	kgid_t fsgid;
	kernel_cap_t cap_effective;
};

#define CAP_KILL	5
#define CAP_SETGID	6
#define CAP_SETUID	7
#define CAP_NET_ADMIN	12
#define CAP_SYS_ADMIN	21
#define CAP_SYS_BOOT	22

struct user_namespace;
extern struct cred init_cred;
int copy_creds(struct task_struct *p);
void put_cred(const struct cred *cred);
bool capable(int cap);
int cap_capable(const struct cred *cred, struct user_namespace *ns, int cap, unsigned int opts);
#define current_cred()	(current->cred)
#define current_uid()	(current->cred->uid)
#define current_gid()	(current->cred->gid)

#endif
