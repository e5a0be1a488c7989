"""Which errors does taskaware raise?

Every message says where, the value seen, the value expected and what to do.
"""


class TaskawareError(Exception):
    """Base of all errors that a user can act on; the command line prints its text without a traceback."""


class CardError(TaskawareError):
    """A data card is missing a field, or a field holds something unexpected."""


class DataError(TaskawareError):
    """Rows cannot be read, or do not fit their card."""


class ConfigError(TaskawareError):
    """A configuration key or value is not known."""


class EncoderError(TaskawareError):
    """A text encoder cannot be loaded, or is not the one expected."""


class EpisodeError(TaskawareError):
    """An episode cannot be drawn, or would leak test material into training."""


class MemoryStoreError(TaskawareError):
    """A task memory is damaged, or belongs to another encoder."""


class CheckpointError(TaskawareError):
    """A run folder cannot be loaded or saved."""


class TrainingError(TaskawareError):
    """Training cannot go on; the last good checkpoint is kept."""
