"""Inverse problems compared: one measurement, several methods side by side."""
