/* uio.h: where the bytes of a read go, or those of a write come from (iov_iter.c). */
#ifndef _UIO_H
#define _UIO_H

#include "types.h"
#include "compiler.h"

struct iovec {
	void __user *iov_base;
	size_t iov_len;
};
#define UIO_MAXIOV	16

enum iter_type { ITER_IOVEC, ITER_KVEC };

struct iov_iter {
	u8 iter_type;			/* ITER_KVEC: kernel memory */
	bool data_source;		/* a write: bytes are taken from it */
	size_t iov_offset;		/* done of the first segment */
	size_t count;			/* left in all */
	const struct iovec *iov;
	unsigned long nr_segs;
};

/* Both return how many bytes went over; fewer than asked means that user memory faulted. */
size_t copy_to_iter(const void *addr, size_t bytes, struct iov_iter *i);
size_t copy_from_iter(void *addr, size_t bytes, struct iov_iter *i);
size_t iov_iter_zero(size_t bytes, struct iov_iter *i);

#endif
