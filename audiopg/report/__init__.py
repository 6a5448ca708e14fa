"""Averages, tables and pictures of results, and comparisons of runs."""
