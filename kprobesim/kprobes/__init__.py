"""The kprobe manager: register, arm, hit, single-step, emulate, return probes, blacklist."""
