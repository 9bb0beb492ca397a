"""One tree of errors and one of warnings.

    SinogradError
      InputError              a value that cannot be used; also a ValueError
        ConfigError           a key of a configuration
        FormatError           the content of a file
        UnitError             a volume in another unit than the one that is needed
      InputTypeError          a value of the wrong type; also a TypeError
      InputIndexError         an index outside its range; also an IndexError
      UnsupportedError        not defined or not built here; also a NotImplementedError
      MissingPackageError     an optional package that is not installed; also an ImportError
      FileError               a file or folder that cannot be read or written; also an OSError
        MissingFileError, ExistingFileError, NotAFolderError, IsAFolderError, WritingStopped
      OutOfMemory             also a MemoryError
      Stopped                 the user interrupted the work; also a KeyboardInterrupt
    SinogradWarning           also a UserWarning
      ScanWarning, PreparationWarning (TruncationWarning), CenterWarning, CoverageWarning, GridWarning,
      ConvergenceWarning, NoEffectWarning, NonFiniteWarning, UnmatchedPairWarning, UnitWarning,
      PluginWarning

Messages name arguments, in backquotes where a command may have an option for them: `` `force=True` replaces it``.
The command line prints the option's name in that place.
"""

from __future__ import annotations


class SinogradError(Exception):
    """What sinograd raises when it cannot do what it was asked to; anything else is a bug."""


class InputError(SinogradError, ValueError):
    """A value that cannot be used: an argument, an option, numbers in a file."""


class ConfigError(InputError):
    """A key of a configuration that is unknown, missing or has a wrong value."""


class FormatError(InputError):
    """A file that is not what it should be: another format, damaged, truncated."""


class UnitError(InputError):
    """A volume in another unit than the one that is needed; the message names both."""


class InputTypeError(SinogradError, TypeError):
    """A value of the wrong type."""


class InputIndexError(SinogradError, IndexError):
    """An index outside its range."""


class CalibrationError(InputError):
    """A geometry that could not be found from projections; `result` is the last good state (`recon.Calibrated`)."""

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result


class UnsupportedError(SinogradError, NotImplementedError):
    """Something that is not defined for this input, or that this installation cannot do."""


class MissingPackageError(SinogradError, ImportError):
    """An optional package that is not installed; the message names the extra that installs it."""


class FileError(SinogradError, OSError):
    """A file or folder that cannot be read or written."""


class MissingFileError(FileError, FileNotFoundError):
    """A file or folder that does not exist."""


class ExistingFileError(FileError, FileExistsError):
    """A file or folder that exists and is not to be replaced."""


class NotAFolderError(FileError, NotADirectoryError):
    """A file where a folder is expected."""


class IsAFolderError(FileError, IsADirectoryError):
    """A folder where a file is expected."""


class WritingStopped(FileError):
    """A file that could not be written to its end; nothing partial was left."""


class OutOfMemory(SinogradError, MemoryError):
    """Too little memory for what was asked; the message names what would need less."""


class Stopped(SinogradError, KeyboardInterrupt):
    """The user interrupted the work.

    Attributes:
        stage: how far it came: "while reconstructing, after 120 of 360 views".
        kept: what is left of it, and how to use that.
    """

    def __init__(self, stage: str = "", kept: str = "") -> None:
        super().__init__(stage, kept)
        self.stage, self.kept = stage, kept

    def __str__(self) -> str:
        return "; ".join(text for text in (self.stage, self.kept) if text)


class SinogradWarning(UserWarning):
    """The base of all warnings of the package: the work goes on, and its result needs a look."""


class ScanWarning(SinogradWarning):
    """A scan file that is not quite as it should be, read all the same; the message holds the counts."""


class PreparationWarning(SinogradWarning):
    """Readings that preparation could not correct as it should; the message holds the counts."""


class TruncationWarning(PreparationWarning):
    """An object that reaches beyond the detector; the message says in how many views, and what that costs."""


class CalibrationWarning(SinogradWarning):
    """Arguments of a geometry that a scan cannot determine, which are held, or a search that did not converge."""


class CenterWarning(SinogradWarning):
    """A centre of rotation that is uncertain; the message says how much."""


class CoverageWarning(SinogradWarning):
    """Rays that were measured from neither side; the message says which views are missing and what comes of it.

    Attributes:
        details: the numbers: shares, arcs, directions and what amplitudes lose; empty where the message says all.
    """

    def __init__(self, text: str, details: str = "") -> None:
        super().__init__(text)
        self.details = details


class GridWarning(SinogradWarning):
    """A grid that is smaller than the object, or that the scan does not see."""


class ConvergenceWarning(SinogradWarning):
    """An iterative algorithm that diverged or did not reach its aim."""


class NoEffectWarning(SinogradWarning):
    """A denoiser that changes its input by less than a ten-thousandth of the noise, or for the worse."""


class NonFiniteWarning(SinogradWarning):
    """A denoiser that made NaN or infinite values of finite ones; the message holds their count."""


class UnmatchedPairWarning(SinogradWarning):
    """An operator's `T` is not its adjoint; the message says by how much."""


class UnitWarning(SinogradWarning):
    """A volume whose unit is not known or not trusted."""


class PluginWarning(SinogradWarning):
    """A plugin of another package that could not be loaded; the message names it."""
