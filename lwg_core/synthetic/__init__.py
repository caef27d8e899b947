"""Procedural people, clothes, backgrounds and motions."""
