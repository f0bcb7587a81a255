"""Exact reasons for one decision, and the reports that counsel, regulator and shopper read."""
