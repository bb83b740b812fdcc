"""One experiment on one reversible clock: machine, kernel, probes and programs. The public API."""
