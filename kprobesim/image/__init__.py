"""What a kernel image is: ELF, kallsyms, DWARF lines, BTF types and instruction decoding."""
