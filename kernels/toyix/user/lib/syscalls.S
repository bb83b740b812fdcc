/*
 * System calls: the number in rax, arguments in rdi rsi rdx r10 r8 r9, the answer in rax. An answer from -4095 to -1 is
 * an error number, negated. A function's fourth argument comes in rcx, which the syscall instruction overwrites: it moves
 * to r10.
 */
	.macro STUB name, number
	.section .text.\name, "ax"
	.balign 16
	.globl \name
	.type \name, @function
\name:
	pushq	%rbp
	movq	%rsp, %rbp
	movl	$\number, %eax
	movq	%rcx, %r10
	syscall
	cmpq	$-4095, %rax
	jb	1f
	negl	%eax
	movl	%eax, errno
	movq	$-1, %rax
1:	popq	%rbp
	ret
	.size \name, . - \name
	.endm

	STUB read, 0
	STUB write, 1
	STUB close, 3
	STUB stat, 4
	STUB fstat, 5
	STUB lseek, 8
	STUB rt_sigaction, 13
	STUB rt_sigprocmask, 14
	STUB pipe, 22
	STUB dup, 32
	STUB dup2, 33
	STUB nanosleep, 35
	STUB getpid, 39
	STUB socket, 41
	STUB sendto, 44
	STUB recvfrom, 45
	STUB bind, 49
	STUB getsockname, 51
	STUB setsockopt, 54
	STUB getsockopt, 55
	STUB fork, 57
	STUB execve, 59
	STUB wait4, 61
	STUB kill, 62
	STUB ftruncate, 77
	STUB getcwd, 79
	STUB chdir, 80
	STUB rename, 82
	STUB mkdir, 83
	STUB rmdir, 84
	STUB unlink, 87
	STUB setuid, 105
	STUB prctl, 157
	STUB sync, 162
	STUB sys_reboot, 169
	STUB getdents64, 217
	STUB clock_gettime, 228
	STUB _exit, 231
	STUB openat, 257
	STUB pipe2, 293
	STUB seccomp, 317
	STUB bpf, 321

/* Where a signal handler returns to: rt_sigreturn, which takes back what the kernel left on the stack, and does not return. */
	.section .text.restore_rt, "ax"
	.balign 16
	.globl restore_rt
	.type restore_rt, @function
restore_rt:
	movl	$15, %eax
	syscall
	.size restore_rt, . - restore_rt

	.section .note.GNU-stack, "", @progbits
