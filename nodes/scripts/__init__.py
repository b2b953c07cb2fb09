"""Custom scripts: their packages, their virtualenvs, and the child process that runs one."""

from nodes.scripts.packages import FOLDER, Package, packages_of

__all__ = ["FOLDER", "Package", "packages_of"]
