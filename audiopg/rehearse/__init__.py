"""A rehearsal: all parts of a run for a few seconds each, on the machine that is to do it."""
