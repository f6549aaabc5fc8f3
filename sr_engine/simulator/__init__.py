"""Parties that talk to the processor as real ones do: for the demonstration, tests, and trials with nobody else."""
