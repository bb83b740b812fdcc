/* setup.h: the steps of start_kernel() that have no better place. */
#ifndef _SETUP_H
#define _SETUP_H

void setup_arch(void);
extern char boot_command_line[256];

#endif
