"""A flow as a value: what export writes, import reads, history keeps and two editors are compared by.

Nothing in it is secret.
"""

from nodes.document.comparing import Difference, differences
from nodes.document.reading import DocumentError, read
from nodes.document.text import from_yaml, to_yaml
from nodes.document.value import Document, document_of, exported
from nodes.document.writing import save_settings, write

__all__ = [
    "Difference",
    "Document",
    "DocumentError",
    "differences",
    "document_of",
    "exported",
    "from_yaml",
    "read",
    "save_settings",
    "to_yaml",
    "write",
]
