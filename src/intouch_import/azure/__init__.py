"""Azure Blob Storage: one folder of one container."""
