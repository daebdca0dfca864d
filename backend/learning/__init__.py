"""From texts and verified tasks: similarity, ... Pure: no I/O, no clock, no chance. May import core only."""
