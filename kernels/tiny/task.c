/*
 * The types that a tracer asks for, and the one task there is.
 *
 * No code: this file is C so that its types reach the debug information and BTF. Names and order are Linux's on x86-64.
 */

/* The registers of whoever was interrupted, as tiny.S leaves them on the stack. Byte offsets beside the fields. */
struct pt_regs {
	unsigned long r15;	/*   0 */
	unsigned long r14;	/*   8 */
	unsigned long r13;	/*  16 */
	unsigned long r12;	/*  24 */
	unsigned long bp;	/*  32 */
	unsigned long bx;	/*  40 */
	unsigned long r11;	/*  48 */
	unsigned long r10;	/*  56 */
	unsigned long r9;	/*  64 */
	unsigned long r8;	/*  72 */
	unsigned long ax;	/*  80 */
	unsigned long cx;	/*  88 */
	unsigned long dx;	/*  96 */
	unsigned long si;	/* 104 */
	unsigned long di;	/* 112 */
	unsigned long orig_ax;	/* 120 */
	unsigned long ip;	/* 128, from here on pushed by the CPU */
	unsigned long cs;	/* 136 */
	unsigned long flags;	/* 144 */
	unsigned long sp;	/* 152 */
	unsigned long ss;	/* 160 */
};

struct task_struct {
	int pid;		/*   0 */
	int tgid;		/*   4 */
	char comm[16];		/*   8 */
};

struct task_struct init_task = { .pid = 1, .tgid = 1, .comm = "tiny" };

/* Who runs now. Per CPU in a real kernel; here there is one CPU and one task. */
struct task_struct *current_task = &init_task;

/* Nothing but the debug information needs it. */
struct pt_regs *last_regs;
