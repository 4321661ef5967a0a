"""What seeds say of cells: the two-way model, its variances, Dunnett's value. Knows neither records nor reports."""
