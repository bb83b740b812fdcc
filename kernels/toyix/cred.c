/* cred.c: user and group ids, and the one question asked of capabilities. */
#include "printk.h"
#include "slab.h"
#include "syscalls.h"

struct cred init_cred = { .usage = ATOMIC_INIT(1), .cap_effective = { 0x1ffffffffffULL } };

/* Everyone's credentials are read-only once they are in use, so a child shares its parent's. */
int copy_creds(struct task_struct *p)
{
	atomic_inc((atomic_t *)&p->cred->usage);
	return 0;
}

void put_cred(const struct cred *_cred)
{
	struct cred *cred = (struct cred *)_cred;

	if (atomic_dec_and_test(&cred->usage))
		kfree(cred);
}

static struct cred *prepare_creds(void)
{
	struct cred *new = kmalloc(sizeof(*new), GFP_KERNEL);

	if (new) {
		*new = *current_cred();
		atomic_set(&new->usage, 1);
	}
	return new;
}

static int commit_creds(struct cred *new)
{
	const struct cred *old = current->cred;

	/* Who stops being root loses root's powers. */
	if (new->euid.val)
		new->cap_effective.val = 0;
	current->cred = new;
	put_cred(old);
	return 0;
}

int cap_capable(const struct cred *cred, struct user_namespace *ns, int cap, unsigned int opts)
{
	return cred->cap_effective.val >> cap & 1 ? 0 : -EPERM;
}

bool capable(int cap)
{
	return !cap_capable(current_cred(), NULL, cap, 0);
}

SYSCALL_DEFINE0(getuid) { return current_cred()->uid.val; }
SYSCALL_DEFINE0(getgid) { return current_cred()->gid.val; }
SYSCALL_DEFINE0(geteuid) { return current_cred()->euid.val; }
SYSCALL_DEFINE0(getegid) { return current_cred()->egid.val; }

SYSCALL_DEFINE1(setuid, uid_t, uid)
{
	kuid_t kuid = { uid };
	struct cred *new;

	if (!capable(CAP_SETUID) && uid != current_cred()->uid.val && uid != current_cred()->suid.val)
		return -EPERM;
	new = prepare_creds();
	if (!new)
		return -ENOMEM;
	if (capable(CAP_SETUID))
		new->uid = new->suid = kuid;
	new->euid = new->fsuid = kuid;
	return commit_creds(new);
}

SYSCALL_DEFINE1(setgid, gid_t, gid)
{
	kgid_t kgid = { gid };
	struct cred *new;

	if (!capable(CAP_SETGID) && gid != current_cred()->gid.val && gid != current_cred()->sgid.val)
		return -EPERM;
	new = prepare_creds();
	if (!new)
		return -ENOMEM;
	if (capable(CAP_SETGID))
		new->gid = new->sgid = kgid;
	new->egid = new->fsgid = kgid;
	return commit_creds(new);
}

static bool uid_allowed(uid_t id)
{
	const struct cred *c = current_cred();

	return id == (uid_t)-1 || id == c->uid.val || id == c->euid.val || id == c->suid.val;
}

SYSCALL_DEFINE3(setresuid, uid_t, ruid, uid_t, euid, uid_t, suid)
{
	struct cred *new;

	if (!(uid_allowed(ruid) && uid_allowed(euid) && uid_allowed(suid)) && !capable(CAP_SETUID))
		return -EPERM;
	new = prepare_creds();
	if (!new)
		return -ENOMEM;
	if (ruid != (uid_t)-1)
		new->uid.val = ruid;
	if (euid != (uid_t)-1)
		new->euid.val = new->fsuid.val = euid;
	if (suid != (uid_t)-1)
		new->suid.val = suid;
	return commit_creds(new);
}

/* Answers with the old one, whether or not it could be changed. */
SYSCALL_DEFINE1(setfsuid, uid_t, uid)
{
	uid_t old = current_cred()->fsuid.val;
	struct cred *new;

	if (!uid_allowed(uid) && !capable(CAP_SETUID))
		return old;
	new = prepare_creds();
	if (!new)
		return old;
	new->fsuid.val = uid;
	commit_creds(new);
	return old;
}
