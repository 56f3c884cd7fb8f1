"""Helpers for the end-to-end tests: the Chorus double, the agent, and recordings to upload."""
