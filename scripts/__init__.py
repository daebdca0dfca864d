"""Setting up, trying out, testing and measuring Prelabel: the same few commands for a person and for CI."""
