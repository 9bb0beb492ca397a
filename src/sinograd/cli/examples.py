"""Examples at the end of each command's help: what is to be done, and the line that does it."""

from __future__ import annotations

Example = tuple[str, str]  # the line, and what it does

# Those under "" are of the list of commands.
EXAMPLES: dict[str, tuple[Example, ...]] = {
    "": (
        ("sinograd demo", "Try everything on a simulated bone"),
        ("sinograd info scan.h5", "See what a scan holds"),
        ("sinograd reconstruct scan.h5 -o volume.h5 --preview slices.png", "Reconstruct it and look at it"),
    ),
    "reconstruct": (
        ("sinograd reconstruct scan.h5 -o volume.h5 --preview slices.png", "A volume and a picture of its slices"),
        (
            "sinograd reconstruct images --geometry beam.yaml --flat flats --dark darks --center auto -o volume.tif",
            "TIFF images whose axis is not known",
        ),
        ("sinograd reconstruct large.h5 -o volume.zarr --memory 4GB", "A volume larger than the memory, in slabs"),
    ),
    "batch": (
        ("sinograd batch jobs.yaml", "All scans of a list"),
        ("sinograd batch night.yaml --quiet", "Only failures are printed"),
    ),
    "info": (
        ("sinograd info scan.h5 --picture scan.png", "A scan, with a picture of projections and a sinogram"),
        ("sinograd info volume.h5 --json", "A volume, as numbers for a program"),
        ("sinograd info runs/three-filters", "A trained model"),
    ),
    "calibrate": (
        ("sinograd calibrate scan.h5 -o beam.yaml --learn axis_offset,in_plane_rotation", "Axis and roll, to a file"),
        (
            "sinograd calibrate scan.h5 --learn axis_offset,tilt,yaw --picture both.png",
            "A picture of both",
        ),
    ),
    "view": (
        ("sinograd view volume.h5", "A volume in the browser"),
        ("sinograd view scan.h5", "Projections, sinograms, references and the orbit of a scan"),
        ("sinograd view noisy.h5 denoised.h5 --no-browser", "Two volumes; only print the address"),
    ),
    "tune": (
        ("sinograd tune scan.h5", "Sliders and a slice in the browser"),
        ("sinograd tune scan.txrm -o bone.zarr --no-browser", "Where the volume goes; only print the address"),
    ),
    "convert": (
        ("sinograd convert scan.txrm scan.h5", "A vendor's scan to HDF5"),
        ("sinograd convert volume.h5 slices", "A volume to a folder of TIFF slices"),
        ("sinograd convert volume.tif volume.nii.gz --unit 1/mm", "A volume whose file does not say its unit"),
    ),
    "simulate": (
        ("sinograd simulate scan.h5 -o quarter.h5 --dose 0.25", "A measured scan at a quarter of its dose"),
        ("sinograd simulate bone -o bone.h5 --truth truth.h5 --photons 2e4", "A phantom, with its true voxels"),
        (
            "sinograd simulate shepp-logan -o scan.h5 --views 360 --detector 128,192 --noiseless",
            "Exact projections, with fewer pixels",
        ),
    ),
    "pairs": (
        ("sinograd pairs L067 L096 --dose 0.1 --window hann --slice-mm 3 -o pairs", "Raw clinical scans"),
        (
            "sinograd pairs L067 L096 --dose 0.1 --window hann --slice-mm 3 -o pairs --resume",
            "Go on after an interrupt",
        ),
    ),
    "train": (
        ("sinograd train config.yaml -o runs/three-filters", "A run in a folder of its own"),
        ("sinograd train config.yaml -o runs/three-filters --resume", "Continue it after an interrupt"),
    ),
    "denoise": (
        (
            "sinograd denoise volume.h5 --model bone-xrm-three-filters -o denoised.h5",
            "A volume, with a model that comes along",
        ),
        ("sinograd denoise series --model runs/three-filters -o denoised", "DICOM slices to DICOM slices"),
        ("sinograd denoise scan.h5 --model runs/dual -o volume.h5", "A scan, with a dual-domain model"),
    ),
    "evaluate": (
        (
            "sinograd evaluate pairs.yaml -m runs/three-filters -m bm3d --protocol full-range -o results",
            "A model and a filter on the pairs of a file",
        ),
        (
            "sinograd evaluate low.h5 --target normal.h5 --unit HU -m median --protocol full-range",
            "Two volumes, only printed",
        ),
    ),
    "invariance": (
        (
            "sinograd invariance runs/red-cnn-flow pairs.yaml -o report.html --twin runs/twin",
            "One denoiser, with content similarities",
        ),
        ("sinograd invariance runs pairs.yaml -o report.html", "All denoisers whose trained flows lie in a folder"),
    ),
    "bone": (
        ("sinograd bone volume.h5 --threshold 500 -o results", "A volume in mg/cm3, with a report and maps"),
        (
            "sinograd bone volume.h5 --threshold 500 --density 16000,-300 --mask region.h5",
            "A volume in 1/mm, within a region",
        ),
    ),
    "demo": (
        ("sinograd demo", "A bone of 192 voxels a side in the folder demo"),
        ("sinograd demo --size tiny -o try --photons 1e5", "A small one, with less noise"),
        ("sinograd demo --data walnut_cone.npz -o walnut", "A real scan, whose file you have"),
    ),
    "doctor": (
        ("sinograd doctor", "Check the installation"),
        ("sinograd doctor --json", "The same as numbers, for a report of a problem"),
    ),
}
