"""The in-kernel virtual machine: isa, assembler, disassembler, interpreter, maps and helpers."""
