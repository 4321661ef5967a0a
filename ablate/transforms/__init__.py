"""Pipelines of torchvision, kornia and albumentations, read as compositions of ops; no file is executed."""
