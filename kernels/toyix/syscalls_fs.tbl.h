/* syscalls_fs.tbl.h: the system calls of the file system. */
