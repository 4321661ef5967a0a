"""From the bytes of image files to shards of stored pixels: contents, decoding, ranges, worker processes."""
