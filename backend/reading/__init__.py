"""From a model's reply to values, in ordered, named steps. Pure: no I/O. Nothing here raises on any reply."""
