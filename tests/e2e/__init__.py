"""The product against a real Label Studio, a real Redis, real workers and a real browser."""
