"""Series of DICOM slices."""
