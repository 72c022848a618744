"""Associations with other nodes; pynetdicom is the engine."""
