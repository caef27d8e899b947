"""A pickle reader that cannot run anything: opcodes, what they may make, and checks of it."""
