"""Every choice that sinograd offers, one line each: to add one, write it and enter it here.

The lines import nothing: help, lists of choices, the schema of configurations and the tables of the documentation
are made from them. What an entry has to offer is said by the protocol that the comment names, and held by the
contract in `sinograd.testing`.
"""

from __future__ import annotations

from typing import Any

from sinograd.registry import Registry

# Windows of the ramp filter, from sharp to smooth: functions of the frequency as a fraction of the cut-off.
WINDOWS: Registry[Any] = Registry("window")
WINDOWS.add("ram-lak", "sinograd.recon.analytic.windows:ram_lak", "no smoothing")
WINDOWS.add("shepp-logan", "sinograd.recon.analytic.windows:shepp_logan", "sin(x) / x")
WINDOWS.add("cosine", "sinograd.recon.analytic.windows:cosine", "half a cosine")
WINDOWS.add("hamming", "sinograd.recon.analytic.windows:hamming", "0.54 + 0.46 cosine")
WINDOWS.add("hann", "sinograd.recon.analytic.windows:hann", "0.5 + 0.5 cosine")

# Denoising networks: `networks.Network`s of images [B, 1, Y, X], whose constructor has options of plain types and a
# `generator`. learning_rate: of Adam, unless a configuration says otherwise; without one 1e-3.
NETWORKS: Registry[Any] = Registry("network", "sinograd.networks")
NETWORKS.add("cnn-10", "sinograd.networks.cnn10:CNN10", "three plain convolutions", learning_rate=1.58e-4)
NETWORKS.add("red-cnn", "sinograd.networks.red_cnn:REDCNN", "residual encoder and decoder", learning_rate=9.58e-5)
NETWORKS.add("qae", "sinograd.networks.qae:QAE", "quadratic autoencoder", learning_rate=4e-4)
NETWORKS.add(
    "noise2noise-unet", "sinograd.networks.noise2noise_unet:Noise2NoiseUNet", "U-Net of paper 003", learning_rate=1e-3
)

# Models that are no networks, as training configurations describe them: `training.model_config.ModelConfig`s.
# takes: "volumes" or "scans".
MODELS: Registry[Any] = Registry("model")
MODELS.add("bilateral", "sinograd.training.models.bilateral:BilateralModel", "bilateral filters", takes="volumes")
MODELS.add(
    "dual-domain-bilateral",
    "sinograd.training.models.dual_domain:DualDomainModel",
    "bilateral filters before and after the reconstruction",
    takes="scans",
)

# Losses of training: `losses.Loss`es, functions or classes whose constructor has options of plain types.
LOSSES: Registry[Any] = Registry("loss", "sinograd.losses")
LOSSES.add("mse", "sinograd.losses.errors:mse", "mean squared error")
LOSSES.add("mae", "sinograd.losses.errors:mae", "mean absolute error")
LOSSES.add("ssim", "sinograd.losses.structural_similarity:SSIM", "1 - structural similarity of slices")

# Tasks of training, what is compared with what: `training.task_config.TaskConfig`s.
TASKS: Registry[Any] = Registry("task")
TASKS.add("supervised", "sinograd.training.tasks.supervised:Supervised", "compared with a clean target")
TASKS.add("noise2noise", "sinograd.training.tasks.noise2noise:Noise2Noise", "compared with another realisation")
TASKS.add("noise2void", "sinograd.training.tasks.noise2void:Noise2Void", "replaced voxels are predicted")
TASKS.add("dual-domain", "sinograd.training.tasks.dual_domain:DualDomain", "from projections to the volume")

# Algorithms of reconstruction. iterative: takes (operator, projections, *, iterations, start, callback, progress) and
# gives a `recon.Result`; else takes (projections, geometry, grid, *, window, cutoff). Of iterative ones also
# non_negative: has an argument `lower`; tv_strength: has an argument `strength`; images, projections: how many of each
# it holds beside its input.
ALGORITHMS: Registry[Any] = Registry("algorithm")
ALGORITHMS.add("fdk", "sinograd.recon.analytic.fdk:fdk", "cone beams")
ALGORITHMS.add("fbp", "sinograd.recon.analytic.fbp:fbp", "fan and parallel beams")
ALGORITHMS.add(
    "sirt", "sinograd.recon.iterative.sirt:sirt", "all rays", iterative=True, non_negative=True, images=4, projections=2
)
ALGORITHMS.add(
    "sart",
    "sinograd.recon.iterative.os_sart:sart",
    "one view after the other",
    iterative=True,
    non_negative=True,
    images=4,
    projections=3,
)
ALGORITHMS.add(
    "os-sart",
    "sinograd.recon.iterative.os_sart:os_sart",
    "subsets of the views",
    iterative=True,
    non_negative=True,
    images=4,
    projections=3,
)
ALGORITHMS.add(
    "cgls", "sinograd.recon.iterative.cgls:cgls", "least squares", iterative=True, images=4, projections=2
)
ALGORITHMS.add(
    "lsqr", "sinograd.recon.iterative.lsqr:lsqr", "least squares", iterative=True, images=5, projections=3
)
ALGORITHMS.add(
    "fista-tv",
    "sinograd.recon.iterative.fista_tv:fista_tv",
    "least squares and total variation",
    iterative=True,
    non_negative=True,
    tv_strength=True,
    images=11,
    projections=4,
)
