"""The computer: vCPUs on Unicorn, RAM, page tables, trap delivery, devices, the clock and checkpoints."""
