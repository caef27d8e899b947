"""Generators with Attentional Liquid Warping Blocks, and their parts."""
