"""Use-cases, over the ports. Nothing here knows which adapter stands behind a port."""
