/* hostfs.S: the file operations that the host plays. Each stub is one hypercall, as in kprobes.S; probes are welcome here. */
#include "hypercall_stub.h"

	.text

	HYPERCALL_STUB hostfs_lookup	HC_HOSTFS_LOOKUP
	HYPERCALL_STUB hostfs_readdir	HC_HOSTFS_READDIR
	HYPERCALL_STUB hostfs_open	HC_HOSTFS_OPEN
	HYPERCALL_STUB hostfs_read	HC_HOSTFS_READ
	HYPERCALL_STUB hostfs_write	HC_HOSTFS_WRITE
	HYPERCALL_STUB hostfs_release	HC_HOSTFS_RELEASE
	HYPERCALL_STUB hostfs_mkdir	HC_HOSTFS_MKDIR
	HYPERCALL_STUB hostfs_unlink	HC_HOSTFS_UNLINK
	HYPERCALL_STUB hostfs_rmdir	HC_HOSTFS_RMDIR

	.section .note.GNU-stack, "", @progbits
