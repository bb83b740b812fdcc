"""Linux's error numbers and texts, the same on every host.

The host's own ``errno`` and ``os.strerror`` will not do: macOS and Windows number and word some of them otherwise.
Numbers follow ``include/uapi/asm-generic/errno-base.h`` and ``errno.h``; texts are those that a Linux console prints.
"""

from enum import IntEnum

__all__ = ["Errno"]


class Errno(IntEnum):
    """A positive Linux errno; ``text`` is what ``strerror`` says of it on Linux."""

    text: str

    def __new__(cls, number: int, text: str) -> "Errno":
        """Make the member: its value is the number, its text rides along."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.text = text
        return member

    @classmethod
    def of(cls, number: int) -> "Errno":
        """The member of a number; KeyError if there is none."""
        return {int(member): member for member in cls}[number]

    EPERM = 1, "Operation not permitted"
    ENOENT = 2, "No such file or directory"
    ESRCH = 3, "No such process"
    EINTR = 4, "Interrupted system call"
    EIO = 5, "Input/output error"
    E2BIG = 7, "Argument list too long"
    ENOEXEC = 8, "Exec format error"
    EBADF = 9, "Bad file descriptor"
    ECHILD = 10, "No child processes"
    EAGAIN = 11, "Resource temporarily unavailable"
    ENOMEM = 12, "Cannot allocate memory"
    EACCES = 13, "Permission denied"
    EFAULT = 14, "Bad address"
    EBUSY = 16, "Device or resource busy"
    EEXIST = 17, "File exists"
    ENODEV = 19, "No such device"
    ENOTDIR = 20, "Not a directory"
    EISDIR = 21, "Is a directory"
    EINVAL = 22, "Invalid argument"
    ENFILE = 23, "Too many open files in system"
    EMFILE = 24, "Too many open files"
    EFBIG = 27, "File too large"
    ENOSPC = 28, "No space left on device"
    ESPIPE = 29, "Illegal seek"
    EPIPE = 32, "Broken pipe"
    EDOM = 33, "Numerical argument out of domain"
    ERANGE = 34, "Numerical result out of range"
    EDEADLK = 35, "Resource deadlock avoided"
    ENAMETOOLONG = 36, "File name too long"
    ENOSYS = 38, "Function not implemented"
    ENOTEMPTY = 39, "Directory not empty"
    ELOOP = 40, "Too many levels of symbolic links"
    EPROTO = 71, "Protocol error"
    ENODATA = 61, "No data available"
    EOVERFLOW = 75, "Value too large for defined data type"
    EILSEQ = 84, "Invalid or incomplete multibyte or wide character"
    EOPNOTSUPP = 95, "Operation not supported"
    EADDRNOTAVAIL = 99, "Cannot assign requested address"
    ENOTSUPP = 524, "Unknown error 524"
