"""The tasks of training, one a module: the options in a configuration, and the work of a step."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.training.tasks.adversarial import AdversarialConfig, AdversarialTask
    from sinograd.training.tasks.dual_domain import DualDomain, DualDomainTask, run_recomputing
    from sinograd.training.tasks.dugan import DuGan, DuGanTask
    from sinograd.training.tasks.noise2noise import Noise2Noise, Noise2NoiseTask
    from sinograd.training.tasks.noise2void import Noise2Void, Noise2VoidTask
    from sinograd.training.tasks.supervised import Supervised, SupervisedTask
    from sinograd.training.tasks.task import Optimize, Task
    from sinograd.training.tasks.wgan_vgg import WganVgg, WganVggTask

__all__ = [
    "AdversarialConfig",
    "AdversarialTask",
    "DuGan",
    "DuGanTask",
    "DualDomain",
    "DualDomainTask",
    "Noise2Noise",
    "Noise2NoiseTask",
    "Noise2Void",
    "Noise2VoidTask",
    "Optimize",
    "Supervised",
    "SupervisedTask",
    "Task",
    "WganVgg",
    "WganVggTask",
    "run_recomputing",
]

attach(__name__)
