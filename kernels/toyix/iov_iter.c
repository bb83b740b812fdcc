/* iov_iter.c: moving bytes to and from a list of segments, in user or in kernel memory. */
#include "string.h"
#include "uaccess.h"
#include "uio.h"

/* Copies within one segment. Returns how much went over. */
static size_t copy_segment(struct iov_iter *i, void *base, void *addr, size_t len)
{
	if (i->iter_type == ITER_KVEC) {
		if (i->data_source)
			memcpy(addr, base, len);
		else
			memcpy(base, addr, len);
		return len;
	}
	if (i->data_source)
		return len - copy_from_user(addr, base, len);
	return len - (addr ? copy_to_user(base, addr, len) : clear_user(base, len));
}

static size_t iterate(struct iov_iter *i, char *addr, size_t bytes)
{
	size_t done = 0;

	bytes = min(bytes, i->count);
	while (done < bytes) {
		size_t len = min(bytes - done, i->iov->iov_len - i->iov_offset);
		size_t copied = copy_segment(i, (char *)i->iov->iov_base + i->iov_offset, addr ? addr + done : NULL, len);

		done += copied;
		i->count -= copied;
		i->iov_offset += copied;
		if (copied < len)
			break;
		if (i->iov_offset == i->iov->iov_len && done < bytes) {
			i->iov++;
			i->nr_segs--;
			i->iov_offset = 0;
		}
	}
	return done;
}

noinline size_t copy_to_iter(const void *addr, size_t bytes, struct iov_iter *i)
{
	return iterate(i, (char *)addr, bytes);
}

noinline size_t copy_from_iter(void *addr, size_t bytes, struct iov_iter *i)
{
	return iterate(i, addr, bytes);
}

/* For reads from nowhere: /dev/zero, and the holes of files. */
noinline size_t iov_iter_zero(size_t bytes, struct iov_iter *i)
{
	static const char zeroes[512];
	size_t done = 0;

	if (i->iter_type != ITER_KVEC)
		return iterate(i, NULL, bytes);
	while (done < bytes)
		done += iterate(i, (char *)zeroes, min(bytes - done, sizeof(zeroes)));
	return done;
}
