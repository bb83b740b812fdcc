/* sleep: waits for some seconds; a fraction is allowed, as in `sleep 0.25`. */
#include "libc.h"

int main(int argc, char *argv[])
{
	struct timespec want = { 0 };
	const char *at = argc == 2 ? argv[1] : "";

	want.tv_sec = *at == '.' ? 0 : strtonum(at, &at);
	if (want.tv_sec >= 0 && *at == '.') {
		long unit = NSEC_PER_SEC;

		for (at++; *at >= '0' && *at <= '9'; at++)
			want.tv_nsec += (*at - '0') * (unit /= 10);
	}
	if (want.tv_sec < 0 || *at) {
		dprintf(2, "usage: sleep seconds\n");
		return 2;
	}
	return nanosleep(&want, NULL) < 0 ? complain("sleep", argv[1]) : 0;
}
