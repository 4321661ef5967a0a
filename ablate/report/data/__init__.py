"""Read a sweep's directory, for reports and other tools."""
