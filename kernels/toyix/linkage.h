/* linkage.h: symbols in assembly. SYM_CODE is not an ordinary C-callable function; both get a size, for kallsyms. */
#ifndef _LINKAGE_H
#define _LINKAGE_H

#define SYM_FUNC_START(name)	.globl name; .balign 16, 0xcc; .type name, @function; name:
#define SYM_FUNC_END(name)	.size name, . - name
#define SYM_CODE_START(name)	SYM_FUNC_START(name)
#define SYM_CODE_END(name)	SYM_FUNC_END(name)

/* A place inside of code that has a name of its own. */
#define SYM_INNER_LABEL(name)	.globl name; name:

#define _ASM_NOKPROBE(name)	.pushsection _kprobe_blacklist, "aw"; .balign 8; .quad name; .popsection

#endif
