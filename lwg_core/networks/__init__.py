"""Generators of the Liquid Warping GAN with every warping strategy, and their parts."""
