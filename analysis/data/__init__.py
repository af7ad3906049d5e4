"""Results folders and tables become DataFrames that the judge can rely on."""
