"""Values and errors that everything else is made of. Pure: standard library only, no I/O, no clock, no randomness."""
