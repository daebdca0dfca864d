"""I/O: one port a file. Foreign errors are translated here and nowhere else."""
