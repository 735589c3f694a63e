"""Azure Blob Storage: a folder of a container as a source."""
