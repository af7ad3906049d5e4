"""Results folders and tables are read and checked, and become DataFrames."""
