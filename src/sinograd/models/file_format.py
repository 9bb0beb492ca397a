"""What every model file starts with."""

FORMAT = "sinograd-model"
VERSION = 1
