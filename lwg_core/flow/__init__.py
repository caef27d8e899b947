"""Correspondence, transformation flows and their composition (Algorithm 1)."""
