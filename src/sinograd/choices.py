"""Every choice that sinograd offers, one line each: to add one, write it and enter it here.

The lines import nothing: help, lists of choices, the schema of configurations and the tables of the documentation
are made from them. What an entry has to offer is said by the protocol that the comment names, and held by the
contract in `sinograd.testing`.
"""

from __future__ import annotations

from typing import Any

from sinograd.phantom_choices import PHANTOMS as PHANTOMS  # the list of phantoms has its own file
from sinograd.registry import Registry

# Windows of the ramp filter, from sharp to smooth: functions of the frequency as a fraction of the cut-off.
WINDOWS: Registry[Any] = Registry("window")
WINDOWS.add("ram-lak", "sinograd.recon.analytic.windows:ram_lak", "no smoothing")
WINDOWS.add("shepp-logan", "sinograd.recon.analytic.windows:shepp_logan", "sin(x) / x")
WINDOWS.add("cosine", "sinograd.recon.analytic.windows:cosine", "half a cosine")
WINDOWS.add("lanczos", "sinograd.recon.analytic.windows:lanczos", "sin(x) / x, 0 at the cut-off")
WINDOWS.add("hamming", "sinograd.recon.analytic.windows:hamming", "0.54 + 0.46 cosine")
WINDOWS.add("hann", "sinograd.recon.analytic.windows:hann", "0.5 + 0.5 cosine")
WINDOWS.add("blackman", "sinograd.recon.analytic.windows:blackman", "the smoothest: 0.42 + 0.5 cosine + 0.08 cosine")

# Algorithms of reconstruction.
#   iterative: whether it is `function(operator, projections, *, iterations=..., start=None, callback=None,
#     progress=None, **options) -> recon.Result` of any operator (`recon.Operator`), as `recon.sirt` is; else it is
#     `function(projections, geometry, grid, ...) -> Tensor`, as `recon.fdk` is. Its default of `iterations` is the one
#     of the command, too.
#   beams: the geometries that it takes
#   non_negative, tv_strength: whether it has the arguments `lower` and `upper`, and `strength` (1 is usual)
#   images, images_per_axis, projections: what it holds beside the projections, in copies of the image, of the image
#     for each of its axes, and of the projections
ALGORITHM_FACTS = ("iterative", "beams", "non_negative", "tv_strength", "images", "images_per_axis", "projections")
EVERY_BEAM = ("ConeBeam", "FanBeam", "ParallelBeam")
ALGORITHMS: Registry[Any] = Registry("algorithm", "sinograd.algorithms", facts=ALGORITHM_FACTS)
ALGORITHMS.add(
    "fdk", "sinograd.recon.analytic.fdk:fdk", "Feldkamp, Davis and Kress", iterative=False, beams=("ConeBeam",)
)
ALGORITHMS.add(
    "fbp",
    "sinograd.recon.analytic.fbp:fbp",
    "filtered backprojection",
    iterative=False,
    beams=("FanBeam", "ParallelBeam"),
)
ALGORITHMS.add(
    "helical-fbp",
    "sinograd.recon.analytic.helical.helical_fbp:helical_fbp",
    "weighted filtered backprojection of helical scans",
    iterative=False,
    beams=("ConeBeam",),
)
ALGORITHMS.add(
    "katsevich",
    "sinograd.recon.analytic.helical.katsevich:katsevich",
    "exact reconstruction of helical scans",
    iterative=False,
    beams=("ConeBeam",),
)
ALGORITHMS.add(
    "sirt",
    "sinograd.recon.iterative.sirt:sirt",
    "simultaneous updates from all rays",
    iterative=True,
    beams=EVERY_BEAM,
    non_negative=True,
    images=4,
    projections=2,
)
ALGORITHMS.add(
    "sart",
    "sinograd.recon.iterative.os_sart:sart",
    "updates view by view",
    iterative=True,
    beams=EVERY_BEAM,
    non_negative=True,
    images=4,
    projections=1.1,
)
ALGORITHMS.add(
    "os-sart",
    "sinograd.recon.iterative.os_sart:os_sart",
    "updates from a tenth of the views at a time",
    iterative=True,
    beams=EVERY_BEAM,
    non_negative=True,
    images=4,
    projections=1.2,
)
ALGORITHMS.add(
    "cgls",
    "sinograd.recon.iterative.cgls:cgls",
    "conjugate gradients for least squares",
    iterative=True,
    beams=EVERY_BEAM,
    images=4,
    projections=2,
)
ALGORITHMS.add(
    "lsqr",
    "sinograd.recon.iterative.lsqr:lsqr",
    "least squares by bidiagonalisation",
    iterative=True,
    beams=EVERY_BEAM,
    images=5,
    projections=2,
)
ALGORITHMS.add(
    "fista-tv",
    "sinograd.recon.iterative.fista_tv:fista_tv",
    "least total variation",
    iterative=True,
    beams=EVERY_BEAM,
    non_negative=True,
    tv_strength=True,
    images=5,
    images_per_axis=2,
    projections=3,
)
ALGORITHMS.add(
    "chambolle-pock",
    "sinograd.recon.iterative.chambolle_pock:chambolle_pock",
    "least total variation within the noise",
    iterative=True,
    beams=EVERY_BEAM,
    non_negative=True,
    tv_strength=True,
    images=4,
    images_per_axis=1,
    projections=5,
)
ALGORITHMS.add(
    "gradient-descent",
    "sinograd.recon.iterative.gradient_descent:gradient_descent",
    "least squares by projected gradients",
    iterative=True,
    beams=EVERY_BEAM,
    non_negative=True,
    images=3,
    projections=2,
)

# Denoising networks: `networks.Network`s of images [B, 1, Y, X] or of volumes [B, 1, Z, Y, X], whose constructor has
# options of plain types and a `generator`. learning_rate: of Adam, unless a configuration says otherwise; without one
# 1e-3.
NETWORKS: Registry[Any] = Registry("network", "sinograd.networks")
NETWORKS.add("cnn-10", "sinograd.networks.cnn10:CNN10", "three plain convolutions", learning_rate=1.58e-4)
NETWORKS.add("red-cnn", "sinograd.networks.red_cnn:REDCNN", "residual encoder and decoder", learning_rate=9.58e-5)
NETWORKS.add("qae", "sinograd.networks.qae:QAE", "quadratic autoencoder", learning_rate=4e-4)
NETWORKS.add(
    "noise2noise-unet", "sinograd.networks.noise2noise_unet:Noise2NoiseUNet", "U-Net of paper 003", learning_rate=1e-3
)
NETWORKS.add("dncnn", "sinograd.networks.dncnn:DnCNN", "plain network that predicts the noise", learning_rate=1e-3)
NETWORKS.add("resnet", "sinograd.networks.resnet:ResNet", "residual blocks that predict the noise", learning_rate=1e-4)
NETWORKS.add("wgan-vgg", "sinograd.networks.wgan_vgg:WGANVGG", "generator of WGAN-VGG", learning_rate=7.1e-5)
NETWORKS.add("dugan", "sinograd.networks.dugan:DUGAN", "generator of DU-GAN", learning_rate=1.81e-4)
NETWORKS.add("jbfnet", "sinograd.networks.jbfnet:JBFNet", "joint bilateral filters of 15 slices", learning_rate=1e-4)
NETWORKS.add("structkpn", "sinograd.networks.struct_kpn:StructKPN", "a kernel for each pixel", learning_rate=1e-4)
NETWORKS.add("wavresnet", "sinograd.networks.wavresnet:WavResNet", "residuals of contourlet bands", learning_rate=1e-3)
NETWORKS.add("nn-sp", "sinograd.networks.nn_sp:NNSP", "3-D network of paper 001 for bone", learning_rate=3.162e-4)

# Models that are no networks, as training configurations describe them: `training.model_config.ModelConfig`s.
# takes: "volumes", "scans" or "either"; "crops" of what denoises nothing.
MODELS: Registry[Any] = Registry("model")
MODELS.add("bilateral", "sinograd.training.models.bilateral:BilateralModel", "bilateral filters", takes="volumes")
MODELS.add(
    "dual-domain-bilateral",
    "sinograd.training.models.dual_domain:DualDomainModel",
    "bilateral filters before and after the reconstruction",
    takes="scans",
)

_PARTS = "sinograd.training.models.dual_domain_networks:DualDomainNetworks"
MODELS.add("dual-domain", _PARTS, "networks or filters before and after the reconstruction", takes="scans")
MODELS.add("own", "sinograd.training.models.own:OwnModel", "a module of your own, imported", takes="either")
_INVARIANCE = "sinograd.invariance.model_config:"  # what a denoiser ignores; each has a task of its own
MODELS.add("invariance-vae", f"{_INVARIANCE}VaeModel", "conditional autoencoder of images", takes="crops")
MODELS.add("invariance-flow", f"{_INVARIANCE}FlowModel", "invertible network of its latents", takes="crops")
MODELS.add("invariance-embedding", f"{_INVARIANCE}EmbeddingModel", "learnt embedding of images", takes="crops")

# Losses of training: `losses.Loss`es, functions or classes whose constructor has options of plain types.
LOSSES: Registry[Any] = Registry("loss", "sinograd.losses")
LOSSES.add("mse", "sinograd.losses.errors:mse", "mean squared error")
LOSSES.add("mae", "sinograd.losses.errors:mae", "mean absolute error")
LOSSES.add("ssim", "sinograd.losses.structural_similarity:SSIM", "1 - structural similarity of slices")
LOSSES.add("charbonnier", "sinograd.losses.charbonnier:Charbonnier", "mean absolute error, smooth at 0")
LOSSES.add("sobel", "sinograd.losses.sobel:Sobel", "mean absolute difference of gradients")
LOSSES.add("perceptual", "sinograd.losses.perceptual:Perceptual", "differences of VGG's features")
LOSSES.add("structure-aware", "sinograd.losses.structure_aware:StructureAware", "StructKPN's, weighted by gradients")
LOSSES.add("jbfnet", "sinograd.losses.jbfnet:JBFNetLoss", "squared error and gradients of all blocks of JBFnet")
LOSSES.add("sum", "sinograd.losses.weighted_sum:WeightedSum", "several losses, each with a weight")
LOSSES.add("own", "sinograd.losses.own:OwnLoss", "one of your own, imported")
LOSSES.add("bone", "sinograd.morphometry.losses:BoneLoss", "maps of bone parameters, any terms")
LOSSES.add("nn-sp", "sinograd.morphometry.losses:NNSPLoss", "maps of TMD, BV/TV and BMD")
LOSSES.add("nn-bmd", "sinograd.morphometry.losses:NNBMDLoss", "voxels and maps of BMD and standard deviation")

# Losses of a network and its critic, of adversarial tasks: `losses.AdversarialLoss`es.
ADVERSARIAL_LOSSES: Registry[Any] = Registry("adversarial loss", "sinograd.adversarial_losses")
ADVERSARIAL_LOSSES.add("wasserstein", "sinograd.losses.adversarial:Wasserstein", "distance with gradient penalty")
ADVERSARIAL_LOSSES.add("least-squares", "sinograd.losses.adversarial:LeastSquares", "squared distance to 1 and 0")

# Tasks of training, what is compared with what: `training.task_config.TaskConfig`s.
TASKS: Registry[Any] = Registry("task")
TASKS.add("supervised", "sinograd.training.tasks.supervised:Supervised", "compared with a clean target")
TASKS.add("noise2noise", "sinograd.training.tasks.noise2noise:Noise2Noise", "compared with another realisation")
TASKS.add("noise2void", "sinograd.training.tasks.noise2void:Noise2Void", "replaced voxels are predicted")
TASKS.add("dual-domain", "sinograd.training.tasks.dual_domain:DualDomain", "from projections to the volume")
TASKS.add("wgan-vgg", "sinograd.training.tasks.wgan_vgg:WganVgg", "a critic of patches and a perceptual loss")
TASKS.add("dugan", "sinograd.training.tasks.dugan:DuGan", "discriminators of images and of their gradients")
TASKS.add("invariance-vae", "sinograd.invariance.vae_task:InvarianceVae", "crops encoded beside their denoised ones")
TASKS.add("invariance-flow", "sinograd.invariance.flow_task:InvarianceFlow", "latents that a denoised crop allows")
TASKS.add("invariance-embedding", "sinograd.invariance.embedding_task:InvarianceEmbedding", "crops near their samples")

# How learning rates fall: `training.schedules.ScheduleConfig`s.
SCHEDULES: Registry[Any] = Registry("schedule")
SCHEDULES.add("cosine", "sinograd.training.schedules:Cosine", "half a cosine down, over all steps")
SCHEDULES.add("exponential", "sinograd.training.schedules:Exponential", "the same factor in every step")
SCHEDULES.add("step", "sinograd.training.schedules:Steps", "a factor after every so many steps")
SCHEDULES.add("plateau", "sinograd.training.plateau:Plateau", "a factor when the validation loss does not fall")

# Formats of files, one class each (`sinograd.io.formats`). The first whose `matches` accepts the content of a path
# reads it, so that special formats stand before general ones, and `add(..., first=True)` puts one before all.
#   suffixes: in lower case, "" for a name without one
#   writes: True, or those suffixes that are written too; a name is written by the first format that does
#   folder: True where its paths are folders, None where they are files or folders
#   package: an optional package that it needs
FORMAT_FACTS = ("holds", "suffixes", "writes", "folder", "package")

# Scans: `sinograd.io.scans.format.ScanFormat`.
SCAN_FORMATS: Registry[Any] = Registry("scan format", "sinograd.formats", facts=FORMAT_FACTS, only={"holds": "scan"})
SCAN_FORMATS.add(
    "hdf5-layout",
    "sinograd.io.scans.hdf5_layout:Hdf5Layout",
    "HDF5 of any layout, described by a YAML file",
    suffixes=(".yaml", ".yml"),
    folder=None,
)
SCAN_FORMATS.add(
    "h5", "sinograd.io.scans.sinograd_hdf5:SinogradHdf5", "sinograd HDF5", suffixes=(".h5", ".hdf5"), writes=True
)
SCAN_FORMATS.add(
    "dxchange", "sinograd.io.scans.dxchange:DXchange", "DXchange HDF5", suffixes=(".h5", ".hdf5", ".hdf"), writes=True
)
SCAN_FORMATS.add(
    "nxtomo", "sinograd.io.scans.nxtomo:NXtomo", "NeXus NXtomo", suffixes=(".nxs", ".nx", ".h5", ".hdf5", ".hdf")
)
SCAN_FORMATS.add("fips", "sinograd.io.scans.fips:Fips", "FIPS / Helsinki MATLAB", suffixes=(".mat",))
SCAN_FORMATS.add("txrm", "sinograd.io.scans.txrm:Txrm", "Zeiss / Xradia XRM", suffixes=(".txrm", ".xrm"), folder=None)
SCAN_FORMATS.add("nikon", "sinograd.io.scans.nikon:Nikon", "Nikon", suffixes=(".xtekct",), folder=None)
SCAN_FORMATS.add("skyscan", "sinograd.io.scans.skyscan:SkyScan", "Bruker SkyScan", suffixes=(".log",), folder=None)
SCAN_FORMATS.add("mrc", "sinograd.io.scans.mrc:Mrc", "MRC tilt series", suffixes=(".mrc", ".st", ".ali"))
SCAN_FORMATS.add(
    "dicom-ct-pd",
    "sinograd.io.scans.dicom_ct_pd:DicomCtPd",
    "folder of DICOM-CT-PD, raw clinical data",
    suffixes=("",),
    folder=True,
)
SCAN_FORMATS.add(
    "npy", "sinograd.io.scans.npy:Npy", "NumPy array with geometry YAML", suffixes=(".npy", ".npz"), writes=(".npy",)
)
SCAN_FORMATS.add(
    "edf", "sinograd.io.scans.edf_stack:EdfStack", "EDF stack with geometry YAML", suffixes=("",), folder=True
)
SCAN_FORMATS.add(
    "tiff",
    "sinograd.io.scans.tiff_stack:TiffStack",
    "TIFF stack with geometry YAML",
    suffixes=(".tif", ".tiff", ""),
    writes=("",),
    folder=None,
)

# Volumes: `sinograd.io.volumes.format.VolumeFormat`. keeps: what a file holds beside values and grid.
VOLUME_FORMATS: Registry[Any] = Registry(
    "volume format", "sinograd.formats", facts=FORMAT_FACTS, only={"holds": "volume"}
)
VOLUME_FORMATS.add(
    "h5", "sinograd.io.volumes.sinograd_hdf5:SinogradHdf5", "HDF5 of sinograd", suffixes=(".h5", ".hdf5"), writes=True
)
VOLUME_FORMATS.add("tif", "sinograd.io.volumes.tiff:Tiff", "TIFF", suffixes=(".tif", ".tiff"), writes=True)
VOLUME_FORMATS.add("npy", "sinograd.io.volumes.npy:Npy", "NumPy array and YAML", suffixes=(".npy",), writes=True)
VOLUME_FORMATS.add(
    "mha", "sinograd.io.volumes.metaimage:MetaImage", "MetaImage", suffixes=(".mha",), writes=True, package="SimpleITK"
)
VOLUME_FORMATS.add(
    "nifti", "sinograd.io.volumes.nifti:Nifti", "NIfTI", suffixes=(".nii", ".nii.gz"), writes=True, package="SimpleITK"
)
VOLUME_FORMATS.add(
    "nrrd", "sinograd.io.volumes.nrrd:Nrrd", "NRRD", suffixes=(".nrrd",), writes=True, package="SimpleITK"
)
VOLUME_FORMATS.add("mrc", "sinograd.io.volumes.mrc:Mrc", "MRC volume", suffixes=(".mrc", ".rec", ".map"), writes=True)
VOLUME_FORMATS.add("txm", "sinograd.io.volumes.txm:Txm", "Zeiss TXM", suffixes=(".txm",), writes=False)
VOLUME_FORMATS.add(
    "zarr",
    "sinograd.io.volumes.ome_zarr:OmeZarr",
    "OME-Zarr",
    suffixes=(".zarr",),
    writes=True,
    folder=True,
    package="zarr",
)
VOLUME_FORMATS.add(
    "slices", "sinograd.io.volumes.slices:Slices", "folder of TIFF slices", suffixes=("",), writes=True, folder=True
)
VOLUME_FORMATS.add(
    "dicom",
    "sinograd.io.volumes.dicom.series:Dicom",
    "folder of DICOM slices, or an enhanced file",
    suffixes=("", ".dcm"),
    writes=False,
    folder=None,
)
VOLUME_FORMATS.add("raw", "sinograd.io.volumes.raw:Raw", "raw float32 voxels and YAML", suffixes=(".raw",), writes=True)

# What detectors make of a photon: its energy, or one count.
DETECTOR_RESPONSES = ("integrating", "counting")

# How rays through metal are replaced: along rows of the detector as they are, or over those of a prior image.
METAL_METHODS = ("linear", "normalized")

# Removal of stripes from sinograms: functions of line integrals, with options by name.
#   before: methods that run before it, with their defaults
#   mixes_rows: looks at all rows of the detector together, `function(projections, **options)` of projections
#     [..., views, (rows,) columns]; others are `function(sinograms, **options)` of sinograms [n, views, columns]
_STRIPES = "sinograd.preparation.stripes"
STRIPE_METHODS: Registry[Any] = Registry("method of stripe removal", facts=("before", "mixes_rows"))
DEFAULT_STRIPE_METHOD = "combined"
STRIPE_METHODS.add(
    "combined",
    "sinograd.preparation.rings:remove_rings",
    "dead, wide, drifting, then constant",
    before=("dead", "wide", "drifting"),
    mixes_rows=True,
)
STRIPE_METHODS.add(
    "constant", "sinograd.preparation.rings:remove_rings", "constant errors, told from round objects", mixes_rows=True
)
STRIPE_METHODS.add("dead", f"{_STRIPES}.dead:fill_dead_stripes", "unresponsive and fluctuating columns filled")
STRIPE_METHODS.add(
    "drifting", f"{_STRIPES}.drifting:level_drifting_stripes", "narrow ones that last over a part of the views"
)
STRIPE_METHODS.add("wide", f"{_STRIPES}.drifting:level_wide_stripes", "wide ones that last over all views")
STRIPE_METHODS.add("large", f"{_STRIPES}.large:replace_large_stripes", "strong and wide stripes replaced")
STRIPE_METHODS.add("sorting", f"{_STRIPES}.sorting:sort_stripes", "medians of sorted readings")
STRIPE_METHODS.add("filtering", f"{_STRIPES}.sorting:filter_stripes", "the same of what changes slowly")
STRIPE_METHODS.add("fitting", f"{_STRIPES}.fitting:fit_stripes", "a polynomial over the views, smoothed")
STRIPE_METHODS.add("wavelet-fourier", f"{_STRIPES}.wavelet_fourier:damp_stripes", "damped wavelet coefficients")
STRIPE_METHODS.add("all", f"{_STRIPES}.sorting:sort_stripes", "dead, large, then sorting", before=("dead", "large"))
