"""What the formats are stored in: files that appear whole, HDF5, TIFF, MATLAB, OLE2."""
