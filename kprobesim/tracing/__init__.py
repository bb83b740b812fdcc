"""What joins probes and BPF, and shows them as Linux does."""
