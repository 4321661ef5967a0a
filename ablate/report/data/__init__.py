"""What a sweep's directory holds, read for reports and other tools."""
