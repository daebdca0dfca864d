"""I/O: one port a file or package. Foreign errors are translated here and nowhere else."""
