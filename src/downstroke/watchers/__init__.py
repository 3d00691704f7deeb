"""Watchers of a training: each reads only the public events."""
