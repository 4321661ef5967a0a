"""The kinds of data sets: folders, tables, Parquet, WebDataset, official files, the embedded glyphs."""
