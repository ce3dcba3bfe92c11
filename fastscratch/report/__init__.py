"""What a run looks like: its figures."""
