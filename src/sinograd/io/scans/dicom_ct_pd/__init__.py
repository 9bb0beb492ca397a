"""DICOM-CT-PD: raw data of clinical CT, a folder with one DICOM file a view.

The Low Dose CT Image and Projection Data of TCIA are in this format (help(sinograd.io.scans.dicom_ct_pd.tags) has its
sources, .geometry its coordinates). What the reader takes and what it leaves open:

- Values may be typed or raw little-endian bytes (UN). Rows and Columns of the images are swapped in the published
  scans; the detector's own counts decide.
- Views are ordered by InstanceNumber; a part of a download is a scan, gaps are warned of, repeats and mixed series are
  errors.
- A flying focal spot moves the source of each view; the detector stays centred on the focal centre.
- Photons of each column and view are `scan.calibration.photons`; `sinograd simulate` takes them. The files say
  nothing of electronic noise.
- `scan.metadata` has no names, dates or identifiers of patients; water_per_mm is the attenuation for HU.
- Files of GE: published comparisons found that the central column counts from the other end of the detector:
  `flip_center=True`.
"""

from sinograd.io.scans.dicom_ct_pd.format import DicomCtPd

__all__ = ["DicomCtPd"]
