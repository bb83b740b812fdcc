/*
 * tiny: the smallest kernel that a kprobe can be set in. Read it from top to bottom.
 *
 *   startup_64            sets the machine up: stack, page tables, GDT, IDT
 *   start_kernel          calls tiny_add ten times, prints each result, waits between, powers off
 *   tiny_add              the function to probe
 *   asm_exc_int3          where the CPU goes when it meets an int3
 *   kprobe_int3_handler   hands the trap to the kprobe core, which the host plays
 *
 * The board is described in docs/machine.md, the memory map in README.md.
 */

#define KERNEL_VIRT	0xffffffff81000000	/* where the kernel is linked... */
#define KERNEL_PHYS	0x100000		/* ...and where the loader puts it */
#define PHYS(symbol)	((symbol) - KERNEL_VIRT + KERNEL_PHYS)

/* A page table entry: bit 0 present, bit 1 writable, bit 7 a page of 2 MiB, bit 63 no code. */
#define TABLE		0x3
#define CODE		0x1
#define DATA		0x8000000000000003
#define BIG_DATA	0x8000000000000083

#define HC_RESUME	0
#define HC_POWER_OFF	4
#define HC_PANIC	5
#define HC_MARK		6
#define HC_INT3		16			/* ours to choose: see .hypercalls below */
#define MARK_BOOT_DONE	5

#define PORT_CONSOLE	0x3f8
#define PORT_TIMER	0x600
#define PORT_HYPERCALL	0xb8

#define VECTOR_INT3	3
#define VECTOR_TIMER	0xec
#define CALLS		10
#define PAUSE_NS	1000000

.macro FUNCTION name
	.balign 16
	.globl \name
	.type \name, @function
\name:
.endm
.macro END name
	.size \name, . - \name
.endm

/* ------------------------------------------------------------------------------------------------- boot */

	.section .head.text, "ax"
FUNCTION startup_64
	movq	$stack_top, %rsp
	xorl	%ebp, %ebp			/* a stack trace ends where the frame pointer is 0 */
	movq	$PHYS(pml4), %rax
	movq	%rax, %cr3
	lgdt	gdt_descriptor
	pushq	$0x10				/* CS cannot be moved into: "return" far to load it */
	pushq	$1f
	lretq
1:	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$VECTOR_INT3, %edi
	movq	$asm_exc_int3, %rsi
	call	set_gate
	movl	$VECTOR_TIMER, %edi
	movq	$asm_sysvec_apic_timer_interrupt, %rsi
	call	set_gate
	lidt	idt_descriptor
	call	start_kernel
END startup_64

	.text
/* set_gate(vector, handler): an IDT entry holds the handler's address in three pieces. */
FUNCTION set_gate
	shll	$4, %edi			/* 16 bytes an entry */
	addq	$idt, %rdi
	movw	%si, (%rdi)			/* address, bits 0-15 */
	movw	$0x10, 2(%rdi)			/* code segment */
	movw	$0x8e00, 4(%rdi)		/* present, interrupt gate: enter with interrupts off */
	shrq	$16, %rsi
	movw	%si, 6(%rdi)			/* bits 16-31 */
	shrq	$16, %rsi
	movl	%esi, 8(%rdi)			/* bits 32-63 */
	ret
END set_gate

/* ------------------------------------------------------------------------------------------------- the program */

FUNCTION start_kernel
	pushq	%rbp
	movq	%rsp, %rbp
	pushq	%rbx
	movl	$MARK_BOOT_DONE, %edi
	movl	$HC_MARK, %eax
	outl	%eax, $PORT_HYPERCALL
	xorl	%ebx, %ebx
1:	movl	$'0', %edi
	movl	%ebx, %esi
	call	tiny_add			/* '0' + n is the digit n */
	call	put_byte
	call	pause
	incl	%ebx
	cmpl	$CALLS, %ebx
	jne	1b
	movl	$'\n', %eax
	call	put_byte
	xorl	%edi, %edi			/* exit code */
	movl	$HC_POWER_OFF, %eax
	outl	%eax, $PORT_HYPERCALL
END start_kernel

/* long tiny_add(long a, long b): the function to probe, with the frame that a C compiler would make. */
FUNCTION tiny_add
	pushq	%rbp
	movq	%rsp, %rbp
	leaq	(%rdi,%rsi), %rax
	popq	%rbp
	ret
END tiny_add

/* Prints the byte in %al. */
FUNCTION put_byte
	movw	$PORT_CONSOLE, %dx
	outb	%al, %dx
	ret
END put_byte

/* Asks for one timer interrupt and sleeps until it comes. */
FUNCTION pause
	movl	$PAUSE_NS, %eax
	movw	$PORT_TIMER, %dx
	outl	%eax, %dx
	sti
	hlt
	cli
	ret
END pause

/* ------------------------------------------------------------------------------------------------- traps */

/*
 * The CPU met an int3 (the byte 0xcc). It has pushed SS, RSP, RFLAGS, CS and RIP, which points behind the int3, and came
 * here through the IDT. We push the other registers below, so that the whole is a struct pt_regs (task.c), and pass its
 * address on.
 */
	.section .entry.text, "ax"
FUNCTION asm_exc_int3
	cld
	pushq	$-1				/* orig_ax: this is no system call */
	/*
	 * Once more the six words SS ... orig_ax, as a copy below the first. iretq will use the copy; the first becomes
	 * a gap. Whoever emulates a push writes just below the interrupted RSP, which is where the first frame lies.
	 */
	.rept 6
	pushq	40(%rsp)
	.endr
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%rcx
	pushq	%rax
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, %rdi			/* struct pt_regs * */
	call	exc_int3
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rax
	popq	%rcx
	popq	%rdx
	popq	%rsi
	popq	%rdi
	addq	$8, %rsp			/* orig_ax */
	iretq					/* takes RIP, RFLAGS and RSP from pt_regs: a handler may have changed them */
END asm_exc_int3

/* The timer has nothing to say: waking the CPU from hlt is its whole effect. */
FUNCTION asm_sysvec_apic_timer_interrupt
	iretq
END asm_sysvec_apic_timer_interrupt

/* Code that runs before a probe's handler could: an int3 in here would never end. */
	.section .noinstr.text, "ax"
FUNCTION exc_int3
	pushq	%rbp
	movq	%rsp, %rbp
	call	kprobe_int3_handler
	testl	%eax, %eax			/* 0: an int3 that no probe has put there */
	jz	die
	popq	%rbp
	ret
END exc_int3

FUNCTION die
	movq	$die_message, %rdi
	movl	$HC_PANIC, %eax
	outl	%eax, $PORT_HYPERCALL
END die

/*
 * int kprobe_int3_handler(struct pt_regs *): in Linux the heart of kprobes, in C. Here the host plays it, so that it can
 * be watched: the `out` is the call. When %r10 comes back non-zero the host wants a function of the guest to run first.
 */
	.section .kprobes.text, "ax"
FUNCTION kprobe_int3_handler
	movl	$HC_INT3, %eax
1:	outl	%eax, $PORT_HYPERCALL
	testq	%r10, %r10
	jnz	2f
	ret
2:	call	*%r10
	movq	%rax, %rdi
	movl	$HC_RESUME, %eax
	jmp	1b
END kprobe_int3_handler

/* Which stub asks with which number: the host reads it in the image. */
	.section .hypercalls, "a"
	.quad	kprobe_int3_handler, HC_INT3

/* ------------------------------------------------------------------------------------------------- data */

	.section .rodata
die_message:
	.asciz	"int3"
	.balign 8
gdt:	.quad	0, 0
	.quad	0x00af9b000000ffff		/* 0x10: code, 64 bits, ring 0 */
	.quad	0x00cf93000000ffff		/* 0x18: data, ring 0 */
gdt_descriptor:
	.word	gdt_descriptor - gdt - 1
	.quad	gdt
idt_descriptor:
	.word	256 * 16 - 1
	.quad	idt

/*
 * Four levels of page tables, filled in by the linker. Three things are mapped: the kernel itself, the module area
 * behind it, and all memory at 0xffff888000000000 ("direct map").
 */
	.data
	.balign 4096
pml4:	.fill	273, 8, 0
	.quad	PHYS(pdpt_direct) + TABLE	/* 0xffff888000000000 */
	.fill	511 - 274, 8, 0
	.quad	PHYS(pdpt_kernel) + TABLE	/* 0xffffff8000000000 */
pdpt_direct:
	.quad	PHYS(pd_direct) + TABLE
	.fill	511, 8, 0
pd_direct:
	.set	address, 0
	.rept	512
	.quad	address + BIG_DATA
	.set	address, address + 0x200000
	.endr
pdpt_kernel:
	.fill	510, 8, 0
	.quad	PHYS(pd_kernel) + TABLE		/* 0xffffffff80000000 */
	.quad	0
pd_kernel:
	.fill	8, 8, 0
	.quad	PHYS(pt_kernel) + TABLE		/* 0xffffffff81000000 */
	.fill	256 - 9, 8, 0
	.quad	PHYS(pt_module) + TABLE		/* 0xffffffffa0000000 */
	.fill	255, 8, 0
pt_kernel:
	.quad	KERNEL_PHYS + CODE		/* all code is in the first page (tiny.lds sees to it) */
	.set	address, KERNEL_PHYS + 0x1000
	.rept	511
	.quad	address + DATA
	.set	address, address + 0x1000
	.endr
pt_module:
	.set	page, 0
	.rept	4
	.quad	PHYS(module_area) + page + CODE
	.set	page, page + 0x1000
	.endr
	.fill	508, 8, 0

/* What the host asks for: where it may put a probe's instruction slots, and a piece of memory for BPF. */
	.globl module_area_phys, module_area_pages, bpf_area_phys, bpf_area_pages
module_area_phys:	.quad PHYS(module_area)
module_area_pages:	.quad 4
bpf_area_phys:		.quad PHYS(bpf_area)
bpf_area_pages:		.quad 16

	.bss
	.balign 4096
module_area:
	.skip	4 * 4096
bpf_area:
	.skip	16 * 4096
idt:	.skip	256 * 16
	.skip	4096
stack_top:

	.section .note.GNU-stack, "", @progbits
