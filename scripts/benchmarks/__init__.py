"""What the product achieves on this machine, measured: `scripts/bench NAME`. One module a benchmark."""
