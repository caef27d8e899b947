"""Colour of skin, face, hair and cloth as a function of the rest position: no atlas, no seams."""
