"""Records: prove that what was stored is still there, back it up, and check a backup that was restored."""
