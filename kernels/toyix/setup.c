/* setup.c: what the loader tells us about the board. */
#include "mm.h"
#include "percpu.h"
#include "printk.h"
#include "processor.h"
#include "setup.h"
#include "string.h"

/* docs/machine.md, "How a kernel is started". */
struct boot_params {
	u64 magic;			/*  0 */
	u64 ram_size;			/*  8 */
	u32 nr_cpus;			/* 16 */
	u32 ns_per_insn;		/* 20 */
	u64 seed;			/* 24 */
	char command_line[256];		/* 32 */
};
#define BOOT_MAGIC	0x746f6f625f6d6973	/* "sim_boot" */

char boot_command_line[256];

void __init setup_arch(void)
{
	struct boot_params *bp = __va(boot_params_pa);

	if (bp->magic != BOOT_MAGIC)
		panic("no boot parameters at %016lx", boot_params_pa);
	ram_size = ALIGN_DOWN(bp->ram_size, PMD_SIZE);
	nr_cpu_ids = min_t(u32, bp->nr_cpus, NR_CPUS);
	strscpy(boot_command_line, bp->command_line, sizeof(boot_command_line));
	paging_init();
}
