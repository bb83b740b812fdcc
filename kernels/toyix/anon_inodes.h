/* anon_inodes.h: descriptors of kernel objects. */
#ifndef _ANON_INODES_H
#define _ANON_INODES_H

#include "fs.h"

int anon_inode_getfd(const char *name, const struct file_operations *fops, void *priv, int flags);

#endif
