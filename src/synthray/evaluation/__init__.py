"""How near synthetic images are to real ones, and what they copied."""
