"""Cameras, the rasteriser and preview shading."""
