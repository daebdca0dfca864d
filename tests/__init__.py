"""Tests: `unit` and `contract` need nothing but Python; the other tiers start what they need."""
