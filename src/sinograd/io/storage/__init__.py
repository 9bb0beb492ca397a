"""What the formats are stored in: HDF5, TIFF, MATLAB, OLE2, and atomic writes."""
