"""The commands of ``python -m lwg_core``: one file each, and what they share."""
