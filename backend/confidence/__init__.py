"""How probable it is that a value is right: one file a method. Pure: no I/O. Unknown is None."""
