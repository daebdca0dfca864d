"""The interfaces that services need: one file a port, with the values that pass through it. Adapters implement them."""
