/*
 * How programs on probes read the arguments and the result of the probed function (x86-64).
 * Names are those of libbpf's header of this name.
 */
#ifndef __BPF_TRACING_H__
#define __BPF_TRACING_H__

/* With the kernel's own struct pt_regs (vmlinux.h) the fields are di and si, with user space's rdi and rsi. */
#ifdef __VMLINUX_H__
#define __PT_REG(x, kernel, user) ((x)->kernel)
#else
#define __PT_REG(x, kernel, user) ((x)->user)
#endif

#define PT_REGS_PARM1(x) __PT_REG(x, di, rdi)
#define PT_REGS_PARM2(x) __PT_REG(x, si, rsi)
#define PT_REGS_PARM3(x) __PT_REG(x, dx, rdx)
#define PT_REGS_PARM4(x) __PT_REG(x, cx, rcx)
#define PT_REGS_PARM5(x) __PT_REG(x, r8, r8)
#define PT_REGS_PARM6(x) __PT_REG(x, r9, r9)
#define PT_REGS_RC(x) __PT_REG(x, ax, rax)
#define PT_REGS_IP(x) __PT_REG(x, ip, rip)
#define PT_REGS_SP(x) __PT_REG(x, sp, rsp)
#define PT_REGS_FP(x) __PT_REG(x, bp, rbp)
/* The return address, at a function's first instruction. */
#define PT_REGS_RET(x) __PT_REG(x, sp, rsp)

/* A system call's fourth argument is in r10: syscall overwrites rcx. */
#define PT_REGS_PARM4_SYSCALL(x) __PT_REG(x, r10, r10)

/* __x64_sys_*() get the user's registers as their only argument. */
#define PT_REGS_SYSCALL_REGS(ctx) ((struct pt_regs *)PT_REGS_PARM1(ctx))

#define __bpf_concat(a, b) a##b
#define __bpf_apply(name, count) __bpf_concat(name, count)
#define __bpf_count(_, _1, _2, _3, _4, _5, _6, n, ...) n
#define __bpf_narg(...) __bpf_count(_, ##__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)

/*
 * BPF_KPROBE(name, int fd, void *buf): a program whose arguments are the probed function's. It is two functions: the
 * outer one gets struct pt_regs and passes on what the inner one wants.
 */
#define __kprobe_args0() ctx
#define __kprobe_args1(a) __kprobe_args0(), (void *)PT_REGS_PARM1(ctx)
#define __kprobe_args2(a, b) __kprobe_args1(a), (void *)PT_REGS_PARM2(ctx)
#define __kprobe_args3(a, b, c) __kprobe_args2(a, b), (void *)PT_REGS_PARM3(ctx)
#define __kprobe_args4(a, b, c, d) __kprobe_args3(a, b, c), (void *)PT_REGS_PARM4(ctx)
#define __kprobe_args5(a, b, c, d, e) __kprobe_args4(a, b, c, d), (void *)PT_REGS_PARM5(ctx)
#define __kprobe_args(args...) __bpf_apply(__kprobe_args, __bpf_narg(args))(args)

#define __bpf_probe(name, values, args...)                                                      \
	name(struct pt_regs *ctx);                                                              \
	static __attribute__((always_inline)) typeof(name(0)) ____##name(struct pt_regs *ctx, ##args); \
	typeof(name(0)) name(struct pt_regs *ctx)                                               \
	{                                                                                       \
		_Pragma("GCC diagnostic push")                                                  \
		_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")                          \
		return ____##name(values);                                                      \
		_Pragma("GCC diagnostic pop")                                                   \
	}                                                                                       \
	static __attribute__((always_inline)) typeof(name(0)) ____##name(struct pt_regs *ctx, ##args)

#define BPF_KPROBE(name, args...) __bpf_probe(name, __bpf_list(__kprobe_args(args)), ##args)
#define __bpf_list(args...) args

/* BPF_KRETPROBE(name, long ret): the same for what the function returned. */
#define __kretprobe_args0() ctx
#define __kretprobe_args1(ret) ctx, (void *)PT_REGS_RC(ctx)
#define __kretprobe_args(args...) __bpf_apply(__kretprobe_args, __bpf_narg(args))(args)
#define BPF_KRETPROBE(name, args...) __bpf_probe(name, __bpf_list(__kretprobe_args(args)), ##args)

/*
 * BPF_PROG(name, struct file *file, char *buf, size_t count): a program on fentry, fexit, fmod_ret, tp_btf or raw_tp, whose
 * context is the arguments, 8 bytes each; for fexit with the result behind them.
 */
#define __ctx_args0()
#define __ctx_args1(a) , (void *)ctx[0]
#define __ctx_args2(a, b) __ctx_args1(a), (void *)ctx[1]
#define __ctx_args3(a, b, c) __ctx_args2(a, b), (void *)ctx[2]
#define __ctx_args4(a, b, c, d) __ctx_args3(a, b, c), (void *)ctx[3]
#define __ctx_args5(a, b, c, d, e) __ctx_args4(a, b, c, d), (void *)ctx[4]
#define __ctx_args6(a, b, c, d, e, f) __ctx_args5(a, b, c, d, e), (void *)ctx[5]
#define __ctx_args7(a, b, c, d, e, f, g) __ctx_args6(a, b, c, d, e, f), (void *)ctx[6]
#define __ctx_count(_, _1, _2, _3, _4, _5, _6, _7, n, ...) n
#define __ctx_narg(...) __ctx_count(_, ##__VA_ARGS__, 7, 6, 5, 4, 3, 2, 1, 0)
#define __ctx_args(args...) __bpf_apply(__ctx_args, __ctx_narg(args))(args)

#define BPF_PROG(name, args...)                                                                 \
	name(unsigned long long *ctx);                                                          \
	static __attribute__((always_inline)) typeof(name(0)) ____##name(unsigned long long *ctx, ##args); \
	typeof(name(0)) name(unsigned long long *ctx)                                           \
	{                                                                                       \
		_Pragma("GCC diagnostic push")                                                  \
		_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")                          \
		return ____##name(ctx __ctx_args(args));                                        \
		_Pragma("GCC diagnostic pop")                                                   \
	}                                                                                       \
	static __attribute__((always_inline)) typeof(name(0)) ____##name(unsigned long long *ctx, ##args)

#endif
