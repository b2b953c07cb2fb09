"""Files that are sent: kept up to the size of what dex takes, and let go beyond it while they come in."""

from io import BytesIO
from typing import Any

from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler

LARGEST = 2 * 1024 * 1024  # bytes; every form that takes a file says itself how much it takes, which is less


class SmallFiles(FileUploadHandler):
    """Holds a file in memory. Of one that is larger nothing is held; its `size` tells the form, which refuses it."""

    chunk_size = 64 * 1024

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """A file begins."""
        super().new_file(*args, **kwargs)
        self.file, self.held = BytesIO(), True

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """The next bytes of it."""
        if self.held and start + len(raw_data) > LARGEST:
            self.file, self.held = BytesIO(), False
        if self.held:
            self.file.write(raw_data)

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        """The file, or what is left of one that is too large: its name and its size."""
        self.file.seek(0)
        return InMemoryUploadedFile(
            self.file, self.field_name, self.file_name, self.content_type, file_size, self.charset, None
        )
