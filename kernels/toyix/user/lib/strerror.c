/* strerror.c: texts for the errors that toyix gives. */
#include "libc.h"

static const char *const texts[] = {
	[1] = "Operation not permitted",
	[2] = "No such file or directory",
	[3] = "No such process",
	[4] = "Interrupted system call",
	[5] = "Input/output error",
	[7] = "Argument list too long",
	[8] = "Exec format error",
	[9] = "Bad file descriptor",
	[10] = "No child processes",
	[11] = "Resource temporarily unavailable",
	[12] = "Cannot allocate memory",
	[13] = "Permission denied",
	[14] = "Bad address",
	[16] = "Device or resource busy",
	[17] = "File exists",
	[18] = "Invalid cross-device link",
	[19] = "No such device",
	[20] = "Not a directory",
	[21] = "Is a directory",
	[22] = "Invalid argument",
	[23] = "Too many open files in system",
	[24] = "Too many open files",
	[25] = "Inappropriate ioctl for device",
	[27] = "File too large",
	[28] = "No space left on device",
	[29] = "Illegal seek",
	[30] = "Read-only file system",
	[32] = "Broken pipe",
	[34] = "Numerical result out of range",
	[36] = "File name too long",
	[38] = "Function not implemented",
	[39] = "Directory not empty",
	[75] = "Value too large for defined data type",
	[84] = "Invalid or incomplete multibyte or wide character",
	[88] = "Socket operation on non-socket",
	[89] = "Destination address required",
	[90] = "Message too long",
	[92] = "Protocol not available",
	[93] = "Protocol not supported",
	[94] = "Socket type not supported",
	[95] = "Operation not supported",
	[97] = "Address family not supported by protocol",
	[98] = "Address already in use",
	[99] = "Cannot assign requested address",
	[101] = "Network is unreachable",
	[105] = "No buffer space available",
};

/* Such as ENOTSUPP, 524, which the kernel lets through although no program knows it. */
static const char *unknown(unsigned int error)
{
	static const char head[] = "Unknown error ";
	static char text[32];
	char *digit = text + sizeof(text) - 1;

	do
		*--digit = '0' + error % 10;
	while (error /= 10);
	return memcpy(digit - (sizeof(head) - 1), head, sizeof(head) - 1);
}

const char *strerror(int error)
{
	if (error <= 0 || (size_t)error >= sizeof(texts) / sizeof(texts[0]) || !texts[error])
		return unknown(error);
	return texts[error];
}
