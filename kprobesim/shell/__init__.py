"""The command shell of the simulated machine, and its file tree."""
